"""`task: text-generation` in a recipe: from plain text or chats, from nothing or on a base, to a version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from gristmill.bundles.digests import verify
from gristmill.core.types import DatasetRef, Resources, RunKind, RunSpec, RunState, VersionRef
from gristmill.lab.evaluation import evaluate_run
from gristmill.lab.events import Events
from gristmill.lab.loading import load_version, open_version
from gristmill.tasks.language.packing import IGNORED, Document, pack
from gristmill.tasks.language.tokenizer import LanguageTokenizer
from gristmill.tasks.language.training_text import blocks_of
from tests import language
from tests.lab.rig import Rig, events, finish

LINES = [f"Sack {number} goes to the mill, and sack {number + 1} comes back as flour.\n" for number in range(400)]
GPT: dict[str, Any] = {
    "task": "text-generation",
    "framework": "transformers",
    "preprocessing": {"tokenizer": "characters", "context": 32},
    "architecture": {"name": "gpt", "width": 32, "heads": 2, "layers": 2},
    "optimiser": {"learning_rate": 0.01},
    "training": {"epochs": 2, "batch_size": 16, "seed": 3},
}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return Rig(tmp_path_factory.mktemp("gpt"))


@pytest.fixture(scope="module")
def text(rig: Rig) -> DatasetRef:
    path = rig.folder / "mill.txt"
    path.write_text("".join(LINES))
    return rig.dataset(path, "text-generation")


@pytest.fixture(scope="module")
def trained(rig: Rig, text: DatasetRef) -> Path:
    folder = rig.prepare("gpt", text, GPT)
    ended = finish(folder)
    assert ended is not None
    assert (ended.state, ended.error) == (RunState.succeeded, None)
    return folder


def test_held_out_passages_are_the_last_of_each_document(rig: Rig, text: DatasetRef) -> None:
    from gristmill.data.versions import load, splits
    from gristmill.store.blobs import Blobs

    blobs = Blobs(rig.blobs_url)
    columns, rows = load(text.manifest, blobs), splits(text.manifest, blobs)
    assert "".join(columns["text"]) == "".join(LINES)
    assert max(rows["train"]) < min(rows["validation"]) <= max(rows["validation"]) < min(rows["test"])


def test_a_gpt_from_nothing_learns_and_its_version_writes(trained: Path) -> None:
    manifest = verify(trained / "bundle")
    assert manifest.signature.language is not None
    assert manifest.signature.language.context_length == 32
    assert manifest.metrics["validation/loss"] < 1.0 < manifest.metrics["validation/perplexity"]
    version = open_version("gpt", trained / "bundle", manifest, Resources(1.0))
    assert version.outputs({"prompt": np.array([b"Sack 7 goes to the mi"], object)})["logprobs"][0, 0] > np.log(0.9)


def test_samples_are_kept_as_it_learns(trained: Path) -> None:
    samples = [event.message for event in events(trained) if event.kind == "sample"]
    assert len(samples) == GPT["training"]["epochs"]
    assert all(len(sample) == 32 and "mill" in sample for sample in samples)


def test_perplexity_is_that_of_transformers_own_loss(trained: Path) -> None:
    bundle = trained / "bundle"
    version = open_version("gpt", bundle, verify(bundle), Resources(1.0))
    line = "Sack 9 goes to the mill"
    found = version.outputs({"text": np.array([line], object)})
    ids = torch.tensor([LanguageTokenizer.open(bundle / "weights").encode(line)])
    model = AutoModelForCausalLM.from_pretrained(bundle / "weights", dtype=torch.bfloat16)
    with torch.no_grad():
        loss = float(model(input_ids=ids, labels=ids).loss)
    assert float(found["tokens"][0]) == ids.shape[1] - 1
    assert float(found["nll"][0] / found["tokens"][0]) == pytest.approx(loss, abs=0.05)


def test_versions_are_evaluated_and_compared_with_intervals(rig: Rig, text: DatasetRef, trained: Path) -> None:
    digest = json.loads((trained / "result.json").read_bytes())["bundle_digest"]
    one = VersionRef(model="gpt", version=1, digest=digest, folder=str(trained / "bundle"))
    folder = rig.prepare("evaluated", text, GPT, kind=RunKind.evaluate, version=one, against=one)
    ended = finish(folder)
    assert ended is not None
    assert ended.error is None
    perplexity = ended.report["metrics"]["perplexity"]
    assert 1 < perplexity["low"] <= perplexity["value"] <= perplexity["high"]
    assert "cannot be told apart: perplexity +0" in ended.report["verdict"]


def test_a_run_that_died_ends_with_the_same_weights(rig: Rig, text: DatasetRef, trained: Path) -> None:
    folder = rig.prepare("died", text, GPT)
    assert finish(folder, "checkpoint.after-save:2") is None
    finish(rig.prepare("died", text, GPT, attempt=2))
    weights = "bundle/weights/model.safetensors"
    assert (folder / weights).read_bytes() == (trained / weights).read_bytes()


@pytest.fixture(scope="module")
def base(rig: Rig) -> VersionRef:
    return rig.imported(language.folder(rig.folder / "base"), "tiny")


@pytest.fixture(scope="module")
def chats(rig: Rig) -> DatasetRef:
    path = rig.folder / "chats.jsonl"
    chat = [{"role": "user", "content": "How many sacks?"}, {"role": "assistant", "content": "Seven."}]
    path.write_text("\n".join(json.dumps({"messages": [*chat, {"role": "user", "content": str(number)}, chat[1]]})
                              for number in range(60)))  # fmt: skip
    return rig.dataset(path, "text-generation")


def adapted(rig: Rig, name: str, chats: DatasetRef, base: VersionRef, merge: bool) -> VersionRef:
    recipe = {
        "task": "text-generation", "framework": "transformers", "base": "tiny@1",
        "adapter": {"rank": 4, "merge": merge}, "preprocessing": {"context": 64}, "optimiser": {"learning_rate": 0.01},
        "training": {"epochs": 3, "batch_size": 8},
    }  # fmt: skip
    folder = rig.prepare(name, chats, recipe, base=base)
    ended = finish(folder)
    assert ended is not None
    assert (ended.error, ended.bundle_digest is None) == (None, False)
    return VersionRef(model=name, version=1, digest=str(ended.bundle_digest), folder=str(folder / "bundle"),
                      base=None if merge else base)  # fmt: skip


@pytest.fixture(scope="module")
def merged(rig: Rig, chats: DatasetRef, base: VersionRef) -> VersionRef:
    return adapted(rig, "merged", chats, base, merge=True)


def test_a_base_is_adapted_to_chats_and_merged(merged: VersionRef) -> None:
    manifest = verify(Path(merged.folder))
    assert manifest.lineage.parent == "tiny@1"
    assert manifest.signature.language is not None
    assert manifest.signature.language.chat
    assert manifest.metrics["test/perplexity"] < 2.0


def test_an_adapter_that_is_kept_answers_on_its_base_as_the_merged_version(
    rig: Rig, chats: DatasetRef, base: VersionRef, merged: VersionRef
) -> None:
    kept = adapted(rig, "kept", chats, base, merge=False)
    manifest, whole = (verify(Path(version.folder)) for version in (kept, merged))
    assert (manifest.is_adapter, manifest.lineage.parent, manifest.signature) == (True, "tiny@1", whole.signature)
    assert manifest.size < whole.size / 2
    assert manifest.metrics["test/perplexity"] == pytest.approx(whole.metrics["test/perplexity"], abs=0.05)
    prompt = {"prompt": np.array([b"<|user|>How many sacks?<|end|><|assistant|>", b"Se"], object)}
    here, there = (load_version(version, Resources(1.0)).outputs(prompt)["logprobs"] for version in (kept, merged))
    assert here == pytest.approx(there, abs=0.1)  # both in bfloat16
    compared = RunSpec(id="c", tenant="t", kind=RunKind.evaluate, attempt=1, seed=0, resources=Resources(1.0),
                       blobs_url=rig.blobs_url, dataset=chats, version=kept, against=base)  # fmt: skip
    metrics, report = evaluate_run(compared, Events(Path(kept.folder).parent, 1))
    assert metrics["perplexity"] == pytest.approx(manifest.metrics["test/perplexity"])
    assert "kept@1 is better than tiny@1" in report["verdict"]


def test_of_a_chat_only_the_answers_and_their_ends_count(tmp_path: Path) -> None:
    folder = language.folder(tmp_path / "tiny")
    chat = [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": "Seven."}]
    blocks = blocks_of({"messages": np.array([json.dumps(chat)], object)}, folder, 64)
    tokenizer = LanguageTokenizer.open(folder)
    counted = blocks.tokens[blocks.labels != IGNORED].tolist()
    assert "".join(tokenizer.token(token)[0] for token in counted) == "Seven.<|end|><|end|>"


def test_documents_are_packed_end_to_end_and_no_token_is_lost() -> None:
    one, two = (Document(np.array(tokens), np.ones(len(tokens), bool)) for tokens in ([1, 2, 3], [4, 5]))
    blocks = pack([one, two], 4, 9)
    assert blocks.tokens.tolist() == [[1, 2, 3, 9], [4, 5, 9, 9]]
    assert blocks.labels.tolist() == [[IGNORED, 2, 3, 9], [IGNORED, 5, 9, IGNORED]]
