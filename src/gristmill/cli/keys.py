"""`gristmill keys`: API keys."""

from __future__ import annotations

from typing import Annotated

import typer

from gristmill.cli.connection import connect
from gristmill.cli.formats import moment
from gristmill.cli.output import AsJson, Fields, Row, facts, show, table
from gristmill.core.types import Role

app = typer.Typer(help="API keys.", add_completion=False)
_LIMITS = {"requests_per_minute": "requests/min", "tokens_per_minute": "tokens/min", "max_parallel": "at a time"}


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who or what uses it.")],
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.consumer,
    tenant: Annotated[str | None, typer.Option(help="Whose key; your own tenant's otherwise.")] = None,
    project: Annotated[str | None, typer.Option(help="What it is used for; keys of one may share a budget.")] = None,
    requests: Annotated[
        int | None, typer.Option("--requests-per-minute", min=0, help="Requests that it may send in a minute.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option("--tokens-per-minute", min=1, help="Tokens of texts that it may use in a minute.")
    ] = None,
    parallel: Annotated[
        int | None, typer.Option("--max-parallel", min=1, help="Requests that it may have under way at a time.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. Its token is shown once and stored nowhere."""
    said = {"requests_per_minute": requests, "tokens_per_minute": tokens, "max_parallel": parallel}
    limits = {limit: value for limit, value in said.items() if value is not None}
    with connect() as client:
        made = client.keys.create(name=name, role=str(role), tenant=tenant, project=project, limits=limits or None)
    show(made, as_json, lambda key: facts({"id": key["id"], "token": f"{key['token']}  (shown once: keep it now)"}))


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the keys; tokens are not among what is stored."""
    with connect() as client:
        keys = client.keys.list()
    fields: Fields = {
        "KEY": "id",
        "NAME": "name",
        "TENANT": "tenant",
        "PROJECT": "project",
        "ROLE": "role",
        "LIMITS": limits_of,
        "CREATED": lambda row: moment(row.get("created_at")),
        "REVOKED": lambda row: moment(row.get("revoked_at")),
    }
    show(keys, as_json, lambda rows: table(rows, fields))


def limits_of(key: Row) -> str | None:
    told = {unit: key["limits"].get(limit) for limit, unit in _LIMITS.items()}
    return ", ".join(f"{value:,} {unit}" for unit, value in told.items() if value is not None) or None


@app.command()
def revoke(key: Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")], as_json: AsJson = False) -> None:
    """Revoke a key: gateways refuse it at once."""
    with connect() as client:
        document = client.keys.revoke(key)
    show(document or {"id": key, "revoked": True}, as_json, lambda _: f"Key {key} is revoked.")
