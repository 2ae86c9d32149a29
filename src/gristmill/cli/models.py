"""`gristmill models`: models, their versions and aliases."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import RenderableType

from gristmill.cli.arguments import Reference, Version, reference_parser, split
from gristmill.cli.connection import connect
from gristmill.cli.convert import convert
from gristmill.cli.exports import export
from gristmill.cli.formats import moment, size, tested
from gristmill.cli.imports import import_, tensors
from gristmill.cli.output import AsJson, Fields, facts, show, table, text

app = typer.Typer(help="Models, their versions and aliases.", add_completion=False)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the models."""
    with connect() as client:
        models = client.models.list()
    fields: Fields = {
        "MODEL": lambda row: row.get("model") or row.get("name"),
        "TASK": "task",
        "VERSIONS": "versions",
        "LATEST": "latest",
        "ALIASES": "aliases",
    }
    show(models, as_json, lambda rows: table(rows, fields, empty="No model yet: `gristmill train RECIPE.yaml`."))


@app.command("show")
def show_(model: Reference, as_json: AsJson = False) -> None:
    """Show a model with its versions, or one version with its manifest."""
    name, _, version = model.partition("@")
    with connect() as client:
        found = client.models.get(name, version or None)
    show(found, as_json, version_view if version else model_view)


app.command("import")(import_)
app.command()(convert)
app.command()(export)


@app.command()
def verify(version: Version, as_json: AsJson = False) -> None:
    """Check every stored file of a version against its digest; exits 1 naming the file that differs."""
    with connect() as client:
        document = client.models.verify(*split(version))
    show(document, as_json, lambda _: f"{version} is what its manifest says.")


@app.command()
def retire(version: Version, as_json: AsJson = False) -> None:
    """Retire a version: what of its cost is not written down yet is written off, and it is not deployed again."""
    with connect() as client:
        document = client.models.retire(*split(version))
    show(document, as_json, lambda _: f"{version} is retired: what was left of its cost is written off.")


@app.command()
def alias(
    version: Version,
    name: Annotated[str, typer.Argument(metavar="ALIAS", help="As in champion.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take the alias away.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give a version an alias; it moves if another version has it."""
    model, number = split(version)
    with connect() as client:
        if remove:
            client.models.remove_alias(model, name, number)
            document: dict[str, Any] = {"model": model, "alias": name, "version": None}
        else:
            document = client.models.set_alias(model, name, number)
    sentence = f"{model}@{name} is no more." if remove else f"{model}@{name} is {version}."
    show(document, as_json, lambda _: sentence)


@app.command()
def compare(
    versions: Annotated[
        list[str], typer.Argument(metavar="NAME@VERSION...", help="Two or more versions.", parser=reference_parser)
    ],
    as_json: AsJson = False,
) -> None:
    """Set versions side by side: size, parameters, metrics."""
    if len(versions) < 2:
        raise typer.BadParameter("name two or more versions, as in digits@1 digits@2.")
    with connect() as client:
        found = [client.models.get(*(reference.partition("@")[::2])) for reference in versions]
    show(found, as_json, _side_by_side)


def model_view(model: dict[str, Any]) -> RenderableType:
    versions = model.get("versions")
    if not isinstance(versions, list):
        return facts({key: text(value) for key, value in model.items()})
    fields: Fields = {
        "VERSION": lambda row: f"{row['model']}@{row['version']}",
        "STATE": "state",
        "ON TEST ROWS": lambda row: tested(row["metrics"]),
        "MADE": lambda row: moment(row.get("created_at")),
    }
    return table(versions, fields)


def version_view(version: dict[str, Any]) -> RenderableType:
    manifest = version.get("manifest") or {}
    return facts(
        {
            "version": f"{version['model']}@{version['version']}",
            "task": version.get("task"),
            "state": version.get("state"),
            "runtime": manifest.get("runtime"),
            "architecture": text(manifest.get("architecture")),
            "parameters": manifest.get("parameters"),
            "size": size(_bytes(manifest)),
            **tensors(manifest.get("signature") or {}),
            "imported from": (manifest.get("lineage") or {}).get("imported_from"),
            "licence": manifest.get("licence") or "not stated",
            **{name: text(value) for name, value in (version.get("metrics") or {}).items()},
            "datasets": text((manifest.get("lineage") or {}).get("datasets")),
            "run": version.get("run"),
            "made": moment(version.get("created_at")),
            "digest": version.get("digest"),
        }
    )


def _side_by_side(versions: list[dict[str, Any]]) -> RenderableType:
    columns = [f"{version['model']}@{version['version']}" for version in versions]
    metrics = dict.fromkeys(name for version in versions for name in version.get("metrics") or {})
    rows: list[dict[str, Any]] = [
        {"": "parameters", **_row(columns, versions, lambda one: (one.get("manifest") or {}).get("parameters"))},
        {"": "size", **_row(columns, versions, lambda one: size(_bytes(one.get("manifest") or {})))},
        {"": "runtime", **_row(columns, versions, lambda one: (one.get("manifest") or {}).get("runtime"))},
        {"": "trained on", **_row(columns, versions, lambda one: text(_datasets(one)))},
    ]
    rows += [
        {"": name, **_row(columns, versions, lambda one, name=name: (one.get("metrics") or {}).get(name))}
        for name in metrics
    ]
    return table(rows, {heading: heading for heading in ("", *columns)})


def _row(columns: list[str], versions: list[dict[str, Any]], field: Any) -> dict[str, Any]:
    return {column: field(version) for column, version in zip(columns, versions, strict=True)}


def _datasets(version: dict[str, Any]) -> list[str]:
    """Metrics of the training run are of these: side by side they mean something where they are the same."""
    return (version.get("manifest") or {}).get("lineage", {}).get("datasets") or []


def _bytes(manifest: dict[str, Any]) -> int | None:
    files = manifest.get("files")
    return sum(entry["size"] for entry in files.values()) if files else None
