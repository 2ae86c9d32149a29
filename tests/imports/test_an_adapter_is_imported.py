"""A LoRA adapter comes in with the version that it adapts, and is tried on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from gristmill.bundles.digests import verify
from gristmill.bundles.replay import read_golden
from gristmill.core.errors import CorruptBundle, GristmillError, Unprocessable
from gristmill.core.types import VersionRef
from gristmill.frameworks.lora import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from tests import adapters, language
from tests.imports.rig import Rig

WORDS = len(language.tokenizer())


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> VersionRef:
    made = language.bundle(tmp_path_factory.mktemp("base"))
    return VersionRef(model="tiny", version=3, digest=made.digest, folder=str(made.folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return adapters.save(tmp_path / "my-adapter", WORDS, seed=1)


def test_its_golden_answers_are_pefts(rig: Rig, base: VersionRef, folder: Path) -> None:
    rig.run_import(folder, base)
    manifest = verify(rig.run / "bundle")
    assert (manifest.name, manifest.runtime, manifest.lineage.parent) == ("my-adapter", "lora", "tiny@3")
    assert manifest.architecture["rank"] == 4
    golden, given = read_golden(rig.run / "bundle")
    model = adapters.opened(WORDS, folder)
    for prompt, logprobs in zip(golden["prompt"], given["logprobs"], strict=True):
        tokens = language.tokenizer()(prompt.decode("utf-8", "replace"))["input_ids"] or [0]
        with torch.inference_mode():
            own = model(input_ids=torch.tensor([tokens])).logits[0, -1].log_softmax(0).topk(5).values
        assert logprobs == pytest.approx(own.numpy(), abs=0.1)  # bfloat16


def _pickled(folder: Path) -> None:
    (folder / ADAPTER_WEIGHTS).rename(folder / "adapter_model.bin")


def _of_another(folder: Path) -> None:
    shutil.rmtree(folder)
    adapters.save(folder, WORDS, seed=1, targets=("q_proj",))
    told = (folder / ADAPTER_WEIGHTS).read_bytes()
    (folder / ADAPTER_WEIGHTS).write_bytes(told.replace(b"layers.1.self_attn.q_proj", b"layers.9.self_attn.q_proj"))


def _no_config(folder: Path) -> None:
    (folder / ADAPTER_CONFIG).write_text(json.dumps({"peft_type": "LORA"}))


@pytest.mark.parametrize(
    ("spoil", "kind", "sentence"),
    [
        (_pickled, Unprocessable, "runs code when it is loaded"),
        (_of_another, Unprocessable, "which the base does not have"),
        (_no_config, CorruptBundle, "is not what PEFT writes"),
    ],
)
def test_one_that_does_not_fit_is_refused_and_leaves_nothing(
    spoil: object, kind: type[GristmillError], sentence: str, rig: Rig, base: VersionRef, folder: Path
) -> None:
    spoil(folder)  # type: ignore[operator]
    with pytest.raises(kind, match=sentence):
        rig.run_import(folder, base)
    assert rig.left_over() == set()


def test_it_does_not_come_without_its_base(rig: Rig, folder: Path) -> None:
    with pytest.raises(Unprocessable, match="--base"):
        rig.run_import(folder, None)
    assert rig.left_over() == set()


def test_only_adapters_have_a_base(rig: Rig, base: VersionRef, tmp_path: Path) -> None:
    with pytest.raises(Unprocessable, match="no LoRA adapter"):
        rig.run_import(language.folder(tmp_path / "tiny-llama"), base)
