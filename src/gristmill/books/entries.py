"""The entries as a list: what a person reads to see where a figure comes from."""

from __future__ import annotations

from typing import Any

from gristmill.books import records
from gristmill.books.records import Connection


def entries(
    connection: Connection, tenant: str, *, account: str | None = None, event: str | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Postings, newest first; `account` whole or in part (`version:digits@1`, `inputs`)."""
    found = records.list_postings(connection, tenant, account=account, event=event, limit=limit)
    return [{name: value for name, value in row.items() if name != "tenant"} for row in found]
