"""Models, versions, aliases, bundles."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.responses import FileResponse

from gristmill.control.api.answers import Json
from gristmill.control.api.context import Developer, Here
from gristmill.control.api.folders import packed
from gristmill.control.platform import Platform
from gristmill.registry import aliases, bundles, versions

router = APIRouter()


class AliasMove(BaseModel):
    model_config = ConfigDict(extra="forbid")
    version: int


@router.get("/models")
def list_models(here: Here, by: Developer) -> Json:
    with here.database.read() as connection:
        found = versions.list_models(connection, by.tenant)
        return Json(
            [
                {
                    "model": model,
                    "task": made[-1].task,
                    "versions": len(made),
                    "latest": made[-1].version,
                    "aliases": aliases.current(connection, by.tenant, model),
                }
                for model, made in found.items()
            ]
        )


@router.get("/models/{model}")
def show(model: str, here: Here, by: Developer) -> Json:
    """A model's versions and aliases."""
    with here.database.read() as connection:
        found = versions.list_versions(connection, by.tenant, model)
        named = aliases.current(connection, by.tenant, model)
    return Json({"model": model, "aliases": named, "versions": [_document(version) for version in found]})


@router.get("/models/{model}/versions/{version}")
def show_version(model: str, version: str, here: Here, by: Developer) -> Json:
    """One version, by number or alias, with its manifest."""
    found = _resolve(here, by.tenant, model, version)
    return Json(_document(found) | {"manifest": msgspec.to_builtins(found.manifest)})


@router.post("/models/{model}/versions/{version}/verify")
def verify(model: str, version: str, here: Here, by: Developer) -> Json:
    """Read every stored file against its digest; 500 `corrupt_bundle` names the file that differs."""
    return Json(here.verify_version(by.tenant, model, _resolve(here, by.tenant, model, version).version))


@router.post("/models/{model}/versions/{version}/retire")
def retire(model: str, version: str, here: Here, by: Developer) -> Json:
    return Json(here.retire_version(by, model, _resolve(here, by.tenant, model, version).version))


@router.get("/models/{model}/versions/{version}/bundle")
def export(model: str, version: str, here: Here, by: Developer) -> FileResponse:
    """The bundle as a tar."""
    found = _resolve(here, by.tenant, model, version)
    with tempfile.TemporaryDirectory(dir=here.settings.home_path) as work:
        folder = Path(work) / "bundle"
        bundles.unpack(found.digest, here.blobs, folder)
        return packed(here, folder, found.reference)


@router.get("/models/{model}/aliases")
def show_aliases(model: str, here: Here, by: Developer) -> Json:
    """Where the aliases point, and every move that they made."""
    with here.database.read() as connection:
        named = aliases.current(connection, by.tenant, model)
        moves = aliases.history(connection, by.tenant, model)
    return Json({"model": model, "aliases": named, "history": [move._asdict() for move in moves]})


@router.put("/models/{model}/aliases/{alias}")
def set_alias(model: str, alias: str, wanted: AliasMove, here: Here, by: Developer) -> Json:
    with here.database.write() as connection:
        aliases.set_alias(connection, by.tenant, model, alias, wanted.version, here.clock.now(), by.key)
    return Json({"model": model, "alias": alias, "version": wanted.version})


@router.delete("/models/{model}/aliases/{alias}")
def remove_alias(model: str, alias: str, here: Here, by: Developer, version: str | None = None) -> Json:
    """With `version` only if the alias stands for that one."""
    with here.database.write() as connection:
        expected = None if version is None else versions.resolve(connection, by.tenant, f"{model}@{version}").version
        aliases.remove_alias(connection, by.tenant, model, alias, here.clock.now(), by.key, expected)
    return Json({"model": model, "alias": alias, "version": None})


def _resolve(platform: Platform, tenant: str, model: str, version: str) -> versions.Version:
    with platform.database.read() as connection:
        return versions.resolve(connection, tenant, f"{model}@{version}")


def _document(version: versions.Version) -> dict[str, Any]:
    return {key: value for key, value in version._asdict().items() if key != "manifest"}
