"""Runtimes and their environments."""

from __future__ import annotations

from gristmill.client.calls import Call, Document, Documents, Pause, Steps
from gristmill.client.operation import D, Resource, operation
from gristmill.core.errors import DeadlineExceeded, Unavailable

_POLL_S = 1.0


class Runtimes(Resource[D]):
    @operation
    def list(self) -> Steps[Documents]:
        reply = yield Call("GET", "/runtimes")
        return reply.documents()

    @operation
    def install(self, runtime: str) -> Steps[Document]:
        """Begin to make an environment of its own for it."""
        reply = yield Call("POST", f"/runtimes/{runtime}/install", json={})
        return reply.document()

    @operation
    def wait(self, runtime: str, *, timeout_s: float = 3600.0) -> Steps[Document]:
        """The runtime once it is installed. Raises Unavailable with the reason when that failed."""
        for _ in range(round(timeout_s / _POLL_S)):
            documents = (yield Call("GET", "/runtimes")).documents()
            document = next(one for one in documents if one["name"] == runtime)
            if document["state"] == "installed":
                return document
            if document["state"] != "installing":
                raise Unavailable(document["error"] or f"The installation of {runtime} ended early: try it again.")
            yield Pause(_POLL_S)
        raise DeadlineExceeded(f"The runtime {runtime} is not installed after {timeout_s:g} s.")
