"""README and docs show commands that run. To change them: change the text; this test runs what it says."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from sys import executable

import pytest

from gristmill.tasks.recipe import read_recipe
from tests.running import Platform

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.S | re.M)


def test_the_by_hand_block_of_the_readme_runs(tmp_path: Path) -> None:
    (by_hand,) = [block for block in blocks(ROOT / "README.md", "bash") if "gristmill up" in block]
    running = Platform(tmp_path / "home")
    script = "\n".join(line for line in by_hand.splitlines() if not line.startswith("pip install"))
    path = f"{Path(executable).parent}:{os.environ['PATH']}"
    try:
        ended = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", script],
            cwd=tmp_path,
            env={**running.environment, "PATH": path},
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
    finally:
        running.down()


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_recipe_that_is_shown_is_a_valid_recipe(page: Path) -> None:
    shown = [block for block in blocks(page, "yaml") if block.startswith("name:")]
    shown += re.findall(r"<<'YAML'\n(.*?)^YAML", page.read_text(), re.S | re.M)
    assert all(read_recipe(text).name for text in shown)


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_command_that_is_shown_exists(page: Path) -> None:
    known = re.findall(r"^#+ (gristmill [a-z ]+)$", (ROOT / "docs" / "cli.md").read_text(), re.M)
    shown = re.findall(
        r"(?<![\w./@-])gristmill (?:--home \S+ )?([a-z]+)(?: ([a-z]+))?", "\n".join(blocks(page, "bash"))
    )
    assert [one for one in shown if not {f"gristmill {one[0]}", f"gristmill {' '.join(one)}"} & set(known)] == []
