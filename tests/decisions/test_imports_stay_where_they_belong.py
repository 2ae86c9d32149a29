"""DESIGN section 3: what import-linter sees, and what only a fresh interpreter sees."""

from __future__ import annotations

from pathlib import Path
from subprocess import run
from sys import executable

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "tensorflow", "keras", "captum", "sqlalchemy", "pandas", "pyarrow")


def test_the_contracts_of_the_rooms_hold() -> None:
    linter = Path(executable).with_name("lint-imports")
    ended = run([str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout[-4000:]


@pytest.mark.parametrize(
    ("modules", "never"),
    [
        ("gristmill.cli.main, gristmill.cli.platform, gristmill.cli.train, gristmill.cli.books", HEAVY),
        ("gristmill.client.sync, gristmill.client.asynchronous", HEAVY),
        ("gristmill.serving.gateway.__main__", (*HEAVY, "fastapi", "httpx2")),
        (
            "gristmill.serving.worker.__main__",
            ("torch", "tensorflow", "keras", "sqlalchemy", "pandas", "fastapi", "httpx2"),
        ),
        ("gristmill.lab.run", ("torch", "tensorflow", "keras", "sqlalchemy", "fastapi", "httpx2")),
        ("gristmill.control.controller", ("torch", "tensorflow", "keras", "captum")),
        ("gristmill.core.types, gristmill.core.settings", (*HEAVY, "numpy", "pydantic")),
    ],
)
def test_a_fresh_interpreter_loads_no_more_than_it_needs(modules: str, never: tuple[str, ...]) -> None:
    script = f"import sys, {modules}\nprint(*[name for name in {never!r} if name in sys.modules])"
    ended = run([executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []


def test_help_imports_no_command() -> None:
    script = (
        "import sys\nfrom gristmill.cli.main import run\nrun(['--help'])\n"
        "print(*sorted(name for name in sys.modules if name in ('httpx2', 'numpy', 'pydantic', 'asyncio')"
        " or name.startswith('gristmill.')), file=sys.stderr)"
    )
    ended = run([executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(ended.stderr.split())
    assert not loaded & {"httpx2", "numpy", "pydantic"}
    assert {name for name in loaded if name.startswith("gristmill.cli.")} <= {
        "gristmill.cli.main",
        "gristmill.cli.failure",
        "gristmill.cli.lazy_group",
    }


def test_the_init_files_of_the_rooms_are_empty() -> None:
    inits = [path for path in (ROOT / "src" / "gristmill").rglob("__init__.py") if path.parent.name != "gristmill"]
    assert inits
    assert [str(path) for path in inits if path.read_text().strip()] == []
