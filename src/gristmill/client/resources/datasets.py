"""Datasets and their versions."""

from __future__ import annotations

from pathlib import Path

from gristmill.client.calls import Call, Document, Documents, Steps
from gristmill.client.operation import D, Resource, operation
from gristmill.client.uploads import UPLOAD_TIMEOUT_S, upload


class Datasets(Resource[D]):
    @operation
    def add(
        self,
        path: Path | str,
        *,
        name: str,
        task: str | None = None,
        target: str | None = None,
        licence: str | None = None,
        source: str | None = None,
        cost: str | None = None,
        options: Document | None = None,
    ) -> Steps[Document]:
        """Upload a file or image folder as the dataset's next version; what is there already keeps its number."""
        path = Path(path)
        digest = yield from upload(path)
        wanted = {
            "name": name,
            "upload": digest,
            "filename": path.name,
            "task": task,
            "target": target,
            "licence": licence,
            "source": source,
            "cost": cost,
            "options": options or {},
        }
        body = {key: value for key, value in wanted.items() if value is not None}
        reply = yield Call("POST", "/datasets", json=body, timeout_s=UPLOAD_TIMEOUT_S)
        return reply.document()

    @operation
    def list(self) -> Steps[Documents]:
        reply = yield Call("GET", "/datasets")
        return reply.documents()

    @operation
    def get(self, name: str, version: int | str | None = None) -> Steps[Document]:
        """One version; the newest where none is named."""
        number = version or (yield from _newest(name))
        reply = yield Call("GET", f"/datasets/{name}/versions/{number}")
        return reply.document()

    @operation
    def profile(self, name: str, version: int | str | None = None) -> Steps[Document]:
        """Columns, values, balance, suspects."""
        number = version or (yield from _newest(name))
        reply = yield Call("GET", f"/datasets/{name}/versions/{number}/profile")
        return reply.document()


def _newest(name: str) -> Steps[int]:
    reply = yield Call("GET", f"/datasets/{name}")
    document = reply.document()
    versions = document.get("versions")
    newest = max((one["version"] for one in versions), default=1) if isinstance(versions, list) else document["version"]
    return int(newest)
