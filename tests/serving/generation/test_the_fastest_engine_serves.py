from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from gristmill.bundles.digests import verify
from gristmill.bundles.manifest import digest_of, encode_manifest
from gristmill.core.engine_trials import AUTO, EngineFigures, EngineTrial, read_trial, trial_path, write_trial
from gristmill.core.types import ReplicaSpec, Resources
from gristmill.serving.worker import engine_choice
from gristmill.serving.worker.engine_choice import engine_of
from tests import language
from tests.gguf_files import tiny_gguf
from tests.imports.rig import Rig


def spec_of(bundle: Path, folder: Path, **more: object) -> ReplicaSpec:
    digest = digest_of(encode_manifest(verify(bundle)))
    told = {"runtime": AUTO, "trials": str(folder / "trials"), **more}
    return msgspec.convert({"id": "rep_1", "tenant": "t", "endpoint": "e", "model": "tiny@1", "digest": digest,
                            "bundle": str(bundle), "socket": "", "resources": Resources(1.0), **told},
                           ReplicaSpec, from_attributes=True)  # fmt: skip


def kept(spec: ReplicaSpec) -> EngineTrial:
    trial = read_trial(trial_path(Path(spec.trials), spec.digest, 1))
    assert trial is not None
    return trial


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")
def test_the_fastest_of_a_trial_is_chosen_and_the_figures_are_kept(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = rig.bring(tiny_gguf(tmp_path / "tiny.gguf")).folder / "bundle"
    monkeypatch.setattr(engine_choice, "engines_for", lambda manifest, apart: ["llama-cpp", "llama-cpp-int8"])
    spec = spec_of(bundle, tmp_path)
    assert engine_of(spec, verify(bundle)) == kept(spec).chosen
    assert [one.runtime for one in kept(spec).figures] == ["llama-cpp", "llama-cpp-int8"]
    assert all(one.tokens_per_s.keys() == {"1", "4", "16"} for one in kept(spec).figures)
    other = msgspec.structs.replace(kept(spec), chosen="llama-cpp-int8")
    write_trial(trial_path(Path(spec.trials), spec.digest, 1), other)
    assert engine_of(spec, verify(bundle)) == "llama-cpp-int8"  # not tried again


@pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")
def test_a_trial_that_a_busy_machine_held_up_is_done_anew_once_cores_are_free(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = rig.bring(tiny_gguf(tmp_path / "tiny.gguf")).folder / "bundle"
    names = ["llama-cpp", "llama-cpp-int8"]
    monkeypatch.setattr(engine_choice, "engines_for", lambda manifest, apart: names)
    spec = spec_of(bundle, tmp_path)
    held_up = EngineTrial("x", tuple(EngineFigures(name, {"1": 1e9}, waited=1.0) for name in names), 1)
    Path(spec.trials).mkdir()
    write_trial(trial_path(Path(spec.trials), spec.digest, 1), held_up)

    monkeypatch.setattr(engine_choice.psutil, "cpu_percent", lambda interval: 100.0)
    assert engine_of(spec, verify(bundle)) == "x"  # it would be held up again
    monkeypatch.setattr(engine_choice.psutil, "cpu_percent", lambda interval: 0.0)
    assert engine_of(msgspec.structs.replace(spec, served=True), verify(bundle)) == "x"  # it comes back with its own
    assert engine_of(spec, verify(bundle)) in names
    assert kept(spec).chosen in names
    assert kept(spec).waited < 1.0


def test_an_engine_that_dies_is_refused_with_a_reason_and_another_serves(rig: Rig, tmp_path: Path) -> None:
    bundle = rig.bring(language.folder(tmp_path / "tiny")).folder / "bundle"
    spec = spec_of(bundle, tmp_path, environments={"vllm": "/bin/false"})
    assert engine_of(spec, verify(bundle)) == "transformers"
    assert {one.runtime: one.refused for one in kept(spec).figures} == {
        "transformers": None, "vllm": "vllm failed: see `gristmill endpoints logs e`.",
    }  # fmt: skip
    faster = (EngineFigures("vllm", {"1": 1e9}), EngineFigures("transformers", {"1": 1.0}))
    write_trial(trial_path(Path(spec.trials), spec.digest, 1), EngineTrial("vllm", faster, 1))
    assert engine_of(spec, verify(bundle)) == "vllm"


def test_what_was_asked_for_serves_and_so_does_a_versions_own_runtime(rig: Rig, tmp_path: Path) -> None:
    bundle = rig.bring(language.folder(tmp_path / "tiny")).folder / "bundle"
    manifest = verify(bundle)
    assert engine_of(spec_of(bundle, tmp_path, runtime="vllm"), manifest) == "vllm"
    assert engine_of(spec_of(bundle, tmp_path, runtime=None), manifest) == "transformers"


def test_a_trial_whose_worker_is_gone_ends(rig: Rig, tmp_path: Path) -> None:
    bundle = rig.bring(language.folder(tmp_path / "tiny")).folder / "bundle"
    command = [sys.executable, "-m", "gristmill.serving.worker.trial", str(bundle), "transformers", "{}", "999999999"]
    ended = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (1, b"")
