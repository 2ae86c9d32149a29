"""Endpoints: deploy, move, scale, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gristmill.client.calls import Call, Document, Documents, Item, Pause, Steps, Stream
from gristmill.client.operation import D, Resource, operation, stream
from gristmill.client.resources.logs import FOLLOW_S, Log
from gristmill.core.errors import DeadlineExceeded, NotFound, Unavailable, Unprocessable
from gristmill.core.ids import check_name

POLL_S = 0.1


class Endpoints(Resource[D]):
    @operation
    def deploy(
        self,
        version: str,
        *,
        endpoint: str | None = None,
        strategy: str = "rolling",
        replicas: int | str | None = None,
        resources: Document | None = None,
        limits: Document | None = None,
        runtime: str | None = None,
    ) -> Steps[Document]:
        """Move the endpoint (the model's name where none is given) to NAME@VERSION. Raises Conflict during another.

        Replicas (1), resources and limits stay as they are where they are not given.
        """
        name = check_name(endpoint or version.partition("@")[0], "endpoint")
        wanted: dict[str, Any] = {"version": version, "strategy": strategy}
        more = (("replicas", replicas), ("resources", resources), ("limits", limits), ("runtime", runtime))
        wanted |= {key: value for key, value in more if value}
        reply = yield Call("POST", f"/endpoints/{name}/deploy", json=wanted)
        return reply.document()

    @operation
    def list(self) -> Steps[Documents]:
        reply = yield Call("GET", "/endpoints")
        return reply.documents()

    @operation
    def get(self, endpoint: str) -> Steps[Document]:
        """State, versions with weights, replicas, newest rollout."""
        reply = yield Call("GET", f"/endpoints/{endpoint}")
        return reply.document()

    @operation
    def wait(
        self, endpoint: str, *, timeout_s: float = 900.0, say: Callable[[Document], object] | None = None
    ) -> Steps[Document]:
        """The endpoint once no rollout is under way; `say` hears how it stands meanwhile.

        Raises Unavailable with the reason when it failed, DeadlineExceeded when it lasts longer.
        """
        for _ in range(round(timeout_s / POLL_S)):
            document = (yield Call("GET", f"/endpoints/{endpoint}")).document()
            if say is not None:
                say(document)
            if document["state"] == "ready":
                return document
            if document["state"] == "failed":
                reason = (document.get("rollout") or {}).get("error") or "its rollout failed"
                raise Unavailable(f"Endpoint {endpoint!r} is not ready: {reason}")
            yield Pause(POLL_S)
        raise DeadlineExceeded(
            f"Endpoint {endpoint!r} is not ready after {timeout_s:g} s and moves on: `gristmill endpoints show "
            f"{endpoint}` tells how it stands."
        )

    @operation
    def replicas(self, endpoint: str) -> Steps[Documents]:
        """Newest first: those that live, and those that ended whose log is kept."""
        reply = yield Call("GET", f"/endpoints/{endpoint}/replicas")
        return reply.documents()

    @operation
    def logs(self, endpoint: str, *, replica: str | None = None, lines: int | None = None) -> Steps[Documents]:
        """[{replica, model, state, text}], oldest first: all that each wrote, or its last `lines` lines; of those that
        live and those that failed at what was last asked for, or of the one that is named."""
        written = []
        for one in (yield from _those(endpoint, replica)):
            text = yield from _log(endpoint, one["id"], lines).more()
            written.append({"replica": one["id"], "model": one["model"], "state": one["state"], "text": text})
        return written

    @stream
    def follow(self, endpoint: str, *, replica: str | None = None, lines: int | None = None) -> Stream:
        """{replica, text} as they write, those that come later too, until the endpoint, or the replica, is gone."""
        logs: dict[str, Log] = {}
        while not (replica and logs and logs[replica].ended):
            try:
                for one in (yield from _those(endpoint, replica)):
                    logs.setdefault(one["id"], _log(endpoint, one["id"], lines))
                for name, log in logs.items():
                    if not log.ended and (text := (yield from log.more())):
                        yield Item({"replica": name, "text": text})
            except NotFound:
                if logs:
                    return
                raise
            yield Pause(FOLLOW_S)

    @operation
    def rollback(self, endpoint: str) -> Steps[Document]:
        """Move back to what it served before."""
        reply = yield Call("POST", f"/endpoints/{endpoint}/rollback", json={})
        return reply.document()

    @operation
    def scale(self, endpoint: str, replicas: int | str) -> Steps[Document]:
        reply = yield Call("POST", f"/endpoints/{endpoint}/scale", json={"replicas": replicas})
        return reply.document()

    @operation
    def add_adapter(self, endpoint: str, version: str, *, name: str | None = None) -> Steps[Document]:
        """A LoRA adapter beside those that it has: {name, version, state}. See `wait_adapter`. Raises Conflict."""
        wanted = {"version": version, **({"name": name} if name else {})}
        reply = yield Call("POST", f"/endpoints/{endpoint}/adapters", json=wanted)
        return reply.document()

    @operation
    def wait_adapter(self, endpoint: str, name: str, *, timeout_s: float = 120.0) -> Steps[Document]:
        """The adapter once it answers as ENDPOINT:NAME. Raises Unprocessable with the reason when it is refused."""
        for _ in range(round(timeout_s / POLL_S)):
            document = (yield Call("GET", f"/endpoints/{endpoint}/adapters/{name}")).document()
            if document["state"] == "ready":
                return document
            if document["state"] == "refused":
                raise Unprocessable(f"The adapter {name!r} is not loaded: {document['error']}", field="adapter")
            yield Pause(POLL_S)
        raise DeadlineExceeded(f"The adapter {name!r} is not loaded after {timeout_s:g} s.")

    @operation
    def adapters(self, endpoint: str) -> Steps[Documents]:
        reply = yield Call("GET", f"/endpoints/{endpoint}/adapters")
        return reply.documents()

    @operation
    def remove_adapter(self, endpoint: str, name: str) -> Steps[Document]:
        """Texts that are being written with it are finished."""
        reply = yield Call("DELETE", f"/endpoints/{endpoint}/adapters/{name}")
        return reply.document()

    @operation
    def delete(self, endpoint: str) -> Steps[Document]:
        reply = yield Call("DELETE", f"/endpoints/{endpoint}")
        return reply.document()

    @operation
    def rollout(self, rollout: str) -> Steps[Document]:
        reply = yield Call("GET", f"/rollouts/{rollout}")
        return reply.document()


def _log(endpoint: str, replica: str, lines: int | None) -> Log:
    return Log(f"/endpoints/{endpoint}/replicas/{replica}/logs", lines)


def _those(endpoint: str, replica: str | None) -> Steps[Documents]:
    """The one that is named, or the current ones, oldest first."""
    if replica is not None:
        return [(yield Call("GET", f"/endpoints/{endpoint}/replicas/{replica}")).document()]
    kept = (yield Call("GET", f"/endpoints/{endpoint}/replicas")).documents()
    return [one for one in reversed(kept) if one["current"]]
