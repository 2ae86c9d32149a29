"""`gristmill tenants`: who owns things and pays."""

from __future__ import annotations

from typing import Annotated

import typer

from gristmill.cli.connection import connect
from gristmill.cli.formats import moment
from gristmill.cli.output import AsJson, Fields, show, table

app = typer.Typer(help="Tenants: who owns things and pays.", add_completion=False)


@app.command()
def create(tenant: Annotated[str, typer.Argument(help="The tenant's name.")], as_json: AsJson = False) -> None:
    """Make a tenant."""
    with connect() as client:
        document = client.tenants.create(tenant)
    show(document, as_json, lambda _: f"Tenant {tenant} is there: `gristmill keys create NAME --tenant {tenant}`.")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the tenants."""
    with connect() as client:
        tenants = client.tenants.list()
    fields: Fields = {"TENANT": "tenant", "WEIGHT": "weight", "CREATED": lambda row: moment(row.get("created_at"))}
    show(tenants, as_json, lambda rows: table(rows, fields))
