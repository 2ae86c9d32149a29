from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from gristmill.control.runtime_install import ENVIRONMENT, READY
from gristmill.core.engine_trials import EngineFigures, EngineTrial, write_trial
from gristmill.core.processes import living
from tests import language
from tests.running import Platform


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    made = Platform(tmp_path_factory.mktemp("home"), {"PIP_NO_INDEX": "1"})
    python = made.home / "runtimes" / "transformers" / ENVIRONMENT / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nOF_ITS_OWN=yes exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (made.home / "runtimes" / "transformers" / READY).touch()
    made.up()
    yield made
    made.down()


def test_a_replica_runs_with_the_python_of_its_runtimes_own_environment(platform: Platform, tmp_path: Path) -> None:
    platform.cli("models", "import", str(language.folder(tmp_path / "tiny")), "--name", "tiny")
    platform.cli("deploy", "tiny@1", "--runtime", "transformers")
    (folder,) = platform.folders("replicas")
    process = living(platform.home / folder)
    assert process is not None
    assert psutil.Process(process.pid).environ()["OF_ITS_OWN"] == "yes"
    shown = platform.json("endpoints", "show", "tiny")
    assert shown["runtime"]["chosen"] == "transformers"


def test_an_endpoint_moves_to_another_runtime_of_the_same_version_or_says_what_is_missing(platform: Platform) -> None:
    former = platform.folders("replicas")
    platform.cli("deploy", "tiny@1", "--runtime", "auto")
    assert platform.folders("replicas") != former
    (trial,) = (platform.home / "trials").glob("*.json")
    figures = EngineFigures("transformers", {"1": 3.0, "16": 9.0}), EngineFigures("vllm", {"1": 1.0, "16": 10.0})
    write_trial(trial, EngineTrial("transformers", figures, 1))
    why = "the fastest of 2 with 1 core over 1, 16 streams, but at 16 alone vllm is"
    assert platform.json("endpoints", "show", "tiny")["runtime"]["because"] == why
    held_up = [msgspec.structs.replace(one, waited=0.34) for one in figures]
    write_trial(trial, EngineTrial("transformers", tuple(held_up), 1))
    told = platform.json("endpoints", "show", "tiny")["runtime"]["because"]
    assert told.startswith(f"{why}; the machine was busy meanwhile (34% of their time they waited for a core)")
    refused = platform.cli("deploy", "tiny@1", "--runtime", "vlm", check=False)
    assert refused.returncode == 1
    assert "There is no runtime 'vlm'" in refused.stderr
    missing = platform.cli("deploy", "tiny@1", "--runtime", "vllm", check=False)
    assert "gristmill runtimes install vllm" in missing.stderr


def test_runtimes_are_listed_with_where_they_are(platform: Platform) -> None:
    states = {one["name"]: one["state"] for one in platform.json("runtimes", "list")}
    assert (states["transformers"], states["torch"], states["vllm"]) == ("installed", "here", "absent")
    refused = platform.cli("runtimes", "install", "nonsense", check=False)
    assert (refused.returncode, "There is no runtime 'nonsense'" in refused.stderr) == (1, True)


def test_an_installation_that_fails_says_so(platform: Platform) -> None:
    ended = platform.cli("runtimes", "install", "onnx", check=False)
    assert (ended.returncode, "onnx could not be installed" in ended.stderr) == (1, True)
    (onnx,) = [one for one in platform.json("runtimes", "list") if one["name"] == "onnx"]
    assert onnx["state"] == "failed"
