import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import with_wine, write_recipe
from tests.running import Load, Platform, eventually, platform


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of a few megabytes, mounted at `folder`."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    junk = disk / "junk"
    with junk.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    return junk


def test_a_full_disk_under_the_journal_refuses_clearly_and_serving_recovers_with_exact_books(
    tmp_path: Path, wine_csv: Path, wine_rows: list[list[float]]
) -> None:
    home = tmp_path / "home"
    with small_disk(home / "journal", 64) as disk, platform(home) as running:
        with_wine(running, wine_csv, tmp_path, versions=1)
        with Load(running, "wine", wine_rows, clients=2) as load:
            eventually(lambda: len(load.answered) > 20, 20)
            junk = fill(disk)
            eventually(lambda: load.failures, 20, "nothing was refused on a full disk")
            junk.unlink()
            answered = len(load.answered)
            eventually(lambda: len(load.answered) > answered + 20, 20, "serving did not recover")
        assert {failure.split()[0] for failure in load.failures} == {"507"}
        assert "disk is full" in load.failures[0]
        check = eventually(
            lambda: (done := running.client().books.check())["usage_records"] >= len(load.answered) and done, 30
        )
        assert check["problems"] == []


def test_a_full_disk_under_a_checkpoint_fails_the_run_clearly_and_it_resumes_when_there_is_room(
    tmp_path: Path, wine_csv: Path
) -> None:
    home = tmp_path / "home"
    with small_disk(home / "runs", 8) as disk, platform(home) as running:
        running.cli("data", "add", "wine", str(wine_csv), "--task", "tabular-classification")
        recipe = write_recipe(tmp_path / "long.yaml", training={"epochs": 600, "batch_size": 8, "seed": 3})
        run = running.json("train", str(recipe))["id"]
        eventually(lambda: running.client().runs.get(run)["progress"].get("step", 0) > 0, 30)
        junk = fill(disk)
        ended = eventually(lambda: _ended(running, run), 60)
        assert ended["state"] == "failed"
        assert "disk is full" in ended["error"]
        junk.unlink()
        running.cli("runs", "resume", run)
        assert eventually(lambda: _ended(running, run), 60)["state"] == "succeeded"


def _ended(running: Platform, run: str) -> dict[str, str] | None:
    document = running.client().runs.get(run)
    return document if document["state"] in ("succeeded", "failed") else None
