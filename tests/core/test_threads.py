"""Threads that wait give their cores away, unless the user's environment says otherwise."""

from __future__ import annotations

import os

import pytest

from gristmill.core.threads import yield_early


@pytest.mark.parametrize(
    ("environment", "spins"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_the_users_own_waiting_stands(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], spins: str | None
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    yield_early()
    assert os.environ.get("GOMP_SPINCOUNT") == spins
