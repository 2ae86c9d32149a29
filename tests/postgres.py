"""A PostgreSQL of the tests' own, on a Unix socket in a temporary folder."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgres() -> Iterator[str]:
    """SQLAlchemy URL of an empty database; skips, saying why, where PostgreSQL's server is not installed."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL's initdb and pg_ctl are not installed here")
    folder = Path(tempfile.mkdtemp(prefix="gm-pg-"))
    try:
        user = "postgres" if getpass.getuser() == "root" else getpass.getuser()
        if user == "postgres":
            shutil.chown(folder, "postgres", "postgres")
        _run(user, str(binaries / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "postgres")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        _run(
            user,
            str(binaries / "pg_ctl"),
            "-D",
            str(folder / "data"),
            "-w",
            "-l",
            str(folder / "log"),
            "-o",
            options,
            "start",
        )
        try:
            yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
        finally:
            _run(user, str(binaries / "pg_ctl"), "-D", str(folder / "data"), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")) or [Path(p) for p in [shutil.which("pg_ctl")] if p]
    return found[-1].parent if found else None


def _run(user: str, *command: str) -> None:
    as_user = ["runuser", "-u", user, "--", *command] if os.getuid() == 0 else list(command)
    subprocess.run(as_user, check=True, capture_output=True, cwd="/")
