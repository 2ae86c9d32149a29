"""Runs: submit, follow, cancel, resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gristmill.client.calls import Call, Document, Documents, Item, Pause, Steps, Stream
from gristmill.client.operation import D, Resource, operation, stream
from gristmill.client.resources.logs import FOLLOW_S, Log
from gristmill.client.uploads import upload
from gristmill.core.types import RunState

WAIT_S = 10.0  # of one long poll


class Runs(Resource[D]):
    @operation
    def train(self, recipe: Document, *, priority: int | None = None, folder: Path | str = ".") -> Steps[Document]:
        """Queue a training run → the run. The recipe's model code is looked for from `folder` and sent along."""
        model = recipe.get("model")
        code = (yield from upload(Path(folder, str(model).rpartition(":")[0]))) if model else None
        return (yield from _submit({"kind": "train", "recipe": recipe, "code": code, "priority": priority}))

    @operation
    def evaluate(self, version: str, dataset: str, *, against: str | None = None) -> Steps[Document]:
        """Queue an evaluation of NAME@VERSION on D@V, in a paired test with `against` if given → the run."""
        return (yield from _submit({"kind": "evaluate", "version": version, "dataset": dataset, "against": against}))

    @operation
    def import_(self, source: Path | str, /, **told: Any) -> Steps[Document]:
        """Upload a model's file or folder, or name a URI, and queue its import → the run. See Models.import_."""
        return (yield from submit_import(source, told))

    @operation
    def list(self, *, limit: int = 200) -> Steps[Documents]:
        """Newest first, at most `limit`."""
        reply = yield Call("GET", "/runs", params={"limit": limit})
        return reply.documents()

    @operation
    def get(self, run: str) -> Steps[Document]:
        reply = yield Call("GET", f"/runs/{run}")
        return reply.document()

    @stream
    def watch(self, run: str) -> Stream:
        """The run's events from its start until it has ended."""
        after, state = 0, ""
        while True:
            params = {"after": after, "wait_s": WAIT_S}
            reply = yield Call("GET", f"/runs/{run}/events", params=params, timeout_s=WAIT_S + 20)
            page = reply.document()
            for event in page["events"]:
                yield Item(event)
            ended, after = _ended(state) and not page["events"], page["next"]
            if ended:
                return
            state = (yield Call("GET", f"/runs/{run}")).document()["state"]
            if not _ended(state) and not page["events"]:
                yield Pause(0.1)  # a server that does not wait must not be asked without pause

    @operation
    def wait(self, run: str) -> Steps[Document]:
        """The run once it has ended."""
        return (yield from finished(run))

    @operation
    def logs(self, run: str, *, lines: int | None = None) -> Steps[str]:
        """All that the run's process has written so far, or its last `lines` lines."""
        return (yield from Log(f"/runs/{run}/logs", lines).more())

    @stream
    def follow(self, run: str, *, lines: int | None = None) -> Stream:
        """{text}: what the run's process writes, until it has ended."""
        log = Log(f"/runs/{run}/logs", lines)
        while not log.ended:
            if text := (yield from log.more()):
                yield Item({"text": text})
            else:
                yield Pause(FOLLOW_S)

    @operation
    def cancel(self, run: str) -> Steps[Document]:
        reply = yield Call("POST", f"/runs/{run}/cancel", json={})
        return reply.document()

    @operation
    def resume(self, run: str) -> Steps[Document]:
        reply = yield Call("POST", f"/runs/{run}/resume", json={})
        return reply.document()


def submit_import(source: Path | str, told: Document) -> Steps[Document]:
    digest = None if "://" in str(source) else (yield from upload(Path(source)))
    name = source if digest is None else Path(source).resolve().name
    said = {key: value for key, value in told.items() if value is not None}
    return (yield from _submit({"kind": "import", "source": str(name), "upload": digest, "told": said}))


def submit_export(version: str, format: str) -> Steps[Document]:
    return (yield from _submit({"kind": "export", "version": version, "format": format}))


def finished(run: str) -> Steps[Document]:
    """Asks until the run has ended."""
    while True:
        document = (yield Call("GET", f"/runs/{run}")).document()
        if _ended(document["state"]):
            return document
        yield Pause(0.2)


def _submit(request: Document) -> Steps[Document]:
    reply = yield Call("POST", "/runs", json={key: value for key, value in request.items() if value is not None})
    return reply.document()


def _ended(state: str) -> bool:
    return bool(state) and RunState(state).ended
