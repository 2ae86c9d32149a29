"""How good versions are, as the books want to know it: by each task's own metric, on rows that training never saw."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from gristmill.books.reports.scope import Quality
from gristmill.core import plugins
from gristmill.registry import versions
from gristmill.tasks.protocol import Task

_TESTED = "test/"


def qualities(connection: Connection, tenants: Iterable[str]) -> list[Quality]:
    """Of every version that was tested; a version of a task that is not installed here is left out."""
    known = set(plugins.names("tasks"))
    found = []
    for tenant in tenants:
        for version in versions.list_versions(connection, tenant):
            if version.task in known:
                task: Task = plugins.load("tasks", version.task)()
                value = version.metrics.get(f"{_TESTED}{task.primary_metric}")
                if value is not None:
                    found.append(Quality(tenant, version.reference, task.primary_metric, value, task.higher_is_better))
    return found
