"""Books on SQLite and PostgreSQL, and in memory where a test makes many."""

from __future__ import annotations

from tests.store.conftest import database, database_url, postgres_url

__all__ = ["database", "database_url", "postgres_url"]
