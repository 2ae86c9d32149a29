"""Datasets and their versions."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from gristmill.control import bookkeeping
from gristmill.control.api.answers import Json
from gristmill.control.api.context import Developer, Here
from gristmill.control.api.uploads import unpacked
from gristmill.core.ids import check_name
from gristmill.core.money import parse_money
from gristmill.data import records, versions

router = APIRouter()


class NewDataset(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    upload: str
    filename: str = "upload"
    task: str | None = None
    target: str | None = None
    licence: str | None = None
    source: str | None = None
    cost: str | None = None
    options: dict[str, Any] = {}


@router.post("/datasets")
def add(wanted: NewDataset, here: Here, by: Developer) -> Json:
    """Read, check, split, profile and store an upload as the dataset's next version; the same again is not doubled."""
    check_name(wanted.name, "dataset")
    cost = parse_money(wanted.cost) if wanted.cost else None
    with tempfile.TemporaryDirectory(dir=here.settings.home_path) as folder:
        source = unpacked(here, by.tenant, wanted.upload, wanted.filename, Path(folder))
        built = versions.build(source, here.blobs, task=wanted.task, target=wanted.target, options=wanted.options)
    with here.database.write() as connection:
        version, made = records.add(
            connection,
            by.tenant,
            wanted.name,
            digest=built.digest,
            task=wanted.task,
            manifest=built.manifest,
            profile=built.profile,
            source=wanted.source,
            licence=wanted.licence,
            cost_micro=cost.micro if cost else None,
            currency=cost.currency if cost else None,
            rows=built.rows,
            bytes=built.bytes,
            created_at=here.clock.now(),
        )
        if made:
            bookkeeping.dataset_added(connection, version)
    here.wake()
    return Json(_document(version), status_code=201 if made else 200)


@router.get("/datasets")
def list_datasets(here: Here, by: Developer) -> Json:
    """Every version of every dataset."""
    with here.database.read() as connection:
        return Json([_document(version) for version in records.list_datasets(connection, by.tenant)])


@router.get("/datasets/{name}")
def show(name: str, here: Here, by: Developer) -> Json:
    """A dataset's versions."""
    with here.database.read() as connection:
        found = records.list_datasets(connection, by.tenant, name)
    return Json({"name": name, "versions": [_document(version) for version in found]})


@router.get("/datasets/{name}/versions/{version}")
def show_version(name: str, version: int, here: Here, by: Developer) -> Json:
    """One version with its manifest: schema, splits, files."""
    with here.database.read() as connection:
        found = records.get(connection, by.tenant, name, version)
    return Json(_document(found) | {"manifest": found.manifest})


@router.get("/datasets/{name}/versions/{version}/profile")
def profile(name: str, version: int, here: Here, by: Developer) -> Json:
    """What stands in a version: columns, values, balance, suspects."""
    with here.database.read() as connection:
        return Json(records.get(connection, by.tenant, name, version).profile)


def _document(version: records.DatasetVersion) -> dict[str, Any]:
    return {key: value for key, value in version._asdict().items() if key not in ("manifest", "profile")}
