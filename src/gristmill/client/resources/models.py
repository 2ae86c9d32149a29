"""Models, versions, aliases, bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gristmill.client.calls import Call, Document, Documents, Steps
from gristmill.client.folders import download
from gristmill.client.operation import D, Resource, operation
from gristmill.client.resources.runs import finished, submit_export, submit_import
from gristmill.client.uploads import UPLOAD_TIMEOUT_S
from gristmill.core.errors import Unprocessable
from gristmill.core.types import RunState


class Models(Resource[D]):
    @operation
    def list(self) -> Steps[Documents]:
        reply = yield Call("GET", "/models")
        return reply.documents()

    @operation
    def get(self, model: str, version: int | str | None = None) -> Steps[Document]:
        """A model with its versions, or one version (a number or an alias) with its manifest."""
        reply = yield Call("GET", f"/models/{model}" + (f"/versions/{version}" if version else ""))
        return reply.document()

    @operation
    def verify(self, model: str, version: int | str) -> Steps[Document]:
        """Read every stored file against its digest. Raises CorruptBundle naming the file."""
        reply = yield Call("POST", f"/models/{model}/versions/{version}/verify", json={}, timeout_s=UPLOAD_TIMEOUT_S)
        return reply.document()

    @operation
    def retire(self, model: str, version: int | str) -> Steps[Document]:
        reply = yield Call("POST", f"/models/{model}/versions/{version}/retire", json={})
        return reply.document()

    @operation
    def aliases(self, model: str) -> Steps[Document]:
        """The model's aliases, and how they moved."""
        reply = yield Call("GET", f"/models/{model}/aliases")
        return reply.document()

    @operation
    def set_alias(self, model: str, alias: str, version: int | str) -> Steps[Document]:
        number = int(version) if str(version).isdecimal() else version
        reply = yield Call("PUT", f"/models/{model}/aliases/{alias}", json={"version": number})
        return reply.document()

    @operation
    def remove_alias(self, model: str, alias: str, version: int | str | None = None) -> Steps[Document]:
        """Raises NotFound; Conflict when the alias stands for another version than the one named."""
        reply = yield Call("DELETE", f"/models/{model}/aliases/{alias}", params={"version": version})
        return reply.document()

    @operation
    def export(self, model: str, version: int | str, path: Path | str, *, format: str | None = None) -> Steps[Path]:
        """Write the version's bundle as the new folder `path`; with `format` (onnx) after a conversion.

        Raises Conflict when it is there already, Unprocessable when the version is not exported to the format.
        """
        if format is not None:
            run = yield from finished((yield from submit_export(f"{model}@{version}", format))["id"])
            if run["state"] != RunState.succeeded:
                raise Unprocessable(run.get("error") or f"The export {run['id']} is {run['state']}.", run=run["id"])
            return (yield from download(f"/runs/{run['id']}/bundle", Path(path)))
        return (yield from download(f"/models/{model}/versions/{version}/bundle", Path(path)))

    @operation
    def import_(self, source: Path | str, /, **told: Any) -> Steps[Document]:
        """Import a file, a folder or a URI as a model's next version, and wait → the version with its manifest.

        `told` is what the file does not say: name, task, inputs [{name, dtype, shape}], labels, architecture, mean,
        std, licence, scores (core.types.Told). Raises Unprocessable with the sentence that refuses it.
        """
        run = yield from submit_import(source, told)
        run = yield from finished(run["id"])
        if not run.get("made"):
            raise Unprocessable(run.get("error") or f"The import {run['id']} is {run['state']}.", run=run["id"])
        model, _, version = run["made"].partition("@")
        return (yield Call("GET", f"/models/{model}/versions/{version}")).document()
