"""The SDK's client, for the platform that the home folder or the environment names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gristmill.client.sync import Client


@contextmanager
def connect() -> Iterator[Client]:
    """Raises Unavailable when nothing answers there."""
    with Client() as client:
        yield client
