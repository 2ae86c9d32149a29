"""What processes write is read from outside, as it stands and as it comes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import write_recipe
from tests.running import Platform, eventually


def test_an_endpoints_logs_are_those_of_its_replicas(wine_platform: Platform) -> None:
    replicas = {folder.rpartition("/")[2] for folder in wine_platform.replicas("wine")}
    told = {one["replica"]: one for one in wine_platform.json("endpoints", "logs", "wine")}
    assert replicas <= told.keys()
    name = min(replicas)
    assert "wine@" in told[name]["text"]
    assert told[name]["text"] == (wine_platform.home / "replicas" / name / "log.txt").read_text()

    printed = wine_platform.cli("endpoints", "logs", "wine").stdout
    assert all(any(line.startswith(f"{one}  ") for line in printed.splitlines()) for one in replicas)
    last = wine_platform.cli("endpoints", "logs", "wine", "--replica", name, "--lines", "1").stdout
    assert last == told[name]["text"].splitlines(keepends=True)[-1]
    assert wine_platform.cli("endpoints", "logs", "wine", "--replica", name, "--lines", "0").stdout == ""


def test_a_replica_that_ended_is_read_too_while_its_log_is_kept(wine_platform: Platform) -> None:
    wine_platform.cli("deploy", "wine@1", "--endpoint", "short", "--replicas", "2")
    first, second = sorted(folder.rpartition("/")[2] for folder in wine_platform.replicas("short"))
    wine_platform.cli("endpoints", "scale", "short", "1")
    with wine_platform.client() as client:
        ended = eventually(
            lambda: [one["id"] for one in client.endpoints.replicas("short") if one["state"] == "stopped"], 60
        )
        assert [one["replica"] for one in client.endpoints.logs("short")] == sorted({first, second} - set(ended))
        assert "is ready" in client.endpoints.logs("short", replica=ended[0])[0]["text"]
        assert "is ready" in "".join(one["text"] for one in client.endpoints.follow("short", replica=ended[0]))
    refused = wine_platform.cli("endpoints", "logs", "short", "--replica", "rep_none", check=False)
    assert (refused.returncode, first in refused.stderr) == (1, True)
    wine_platform.cli("endpoints", "delete", "short")


def test_what_is_followed_comes_until_the_endpoint_is_gone(wine_platform: Platform, tmp_path: Path) -> None:
    wine_platform.cli("deploy", "wine@1", "--endpoint", "followed")
    with (tmp_path / "followed.txt").open("w") as out:
        following = subprocess.Popen(
            [sys.executable, "-m", "gristmill.cli.main", "endpoints", "logs", "followed", "--follow"],
            env=wine_platform.environment, stdout=out,
        )  # fmt: skip
        try:
            eventually(lambda: _ready_lines(tmp_path) == 1, 60, "what stood there was not printed")
            wine_platform.cli("endpoints", "scale", "followed", "2")
            eventually(lambda: _ready_lines(tmp_path) == 2, 60, "the replica that came was not followed")
            wine_platform.cli("endpoints", "delete", "followed")
            assert following.wait(60) == 0
        finally:
            following.kill()
            following.wait()


def test_a_run_is_followed_to_its_last_line(wine_platform: Platform, tmp_path: Path) -> None:
    run = wine_platform.json("train", str(write_recipe(tmp_path / "wine.yaml")))["id"]
    with wine_platform.client() as client:
        followed = "".join(one["text"] for one in client.runs.follow(run))
        assert client.runs.get(run)["state"] == "succeeded"
    assert followed == wine_platform.json("runs", "logs", run)["text"]
    lines = followed.splitlines(keepends=True)
    assert wine_platform.cli("runs", "logs", run, "--lines", "1").stdout == "".join(lines[-1:])
    assert wine_platform.cli("runs", "logs", run, "--lines", "1000000", "--follow").stdout == followed


def test_what_is_followed_is_no_document(wine_platform: Platform) -> None:
    for command in (("endpoints", "logs", "wine"), ("runs", "logs", "run_x")):
        refused = wine_platform.cli(*command, "--follow", "--json", check=False)
        assert (refused.returncode, refused.stdout) == (2, "")


def _ready_lines(folder: Path) -> int:
    return (folder / "followed.txt").read_text().count("is ready on replica")
