"""`framework: transformers`: an encoder trained on under a new head, a ViT from its config, adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from gristmill.bundles.digests import verify
from gristmill.core.errors import Unprocessable
from gristmill.core.types import DatasetRef, Resources, RunSpec, RunState, VersionRef
from gristmill.frameworks.protocol import Split, TrainJob
from gristmill.frameworks.transformers.starting_model import merged, starting_model
from gristmill.frameworks.transformers.trainer import TransformersTrainer
from gristmill.lab.base import open_base
from gristmill.lab.events import Events
from gristmill.lab.loading import open_version
from gristmill.tasks.recipe import parse_recipe
from tests import language
from tests.lab.rig import Rig, finish, result

GOOD, BAD = ("fine", "grand", "sound", "golden"), ("foul", "mouldy", "sour", "spoilt")
ON_A_BASE: dict[str, Any] = {
    "task": "text-classification",
    "framework": "transformers",
    "base": "tiny@1",
    "optimiser": {"learning_rate": 0.003},
    "schedule": {"name": "linear", "warmup_steps": 2},
    "regularisation": {"dropout": 0.1, "clip_norm": 1.0},
    "training": {"epochs": 4, "batch_size": 8, "accumulate": 2, "seed": 3, "early_stopping": {"patience": 3}},
}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return Rig(tmp_path_factory.mktemp("transformers"))


@pytest.fixture(scope="module")
def texts(rig: Rig) -> DatasetRef:
    chance = np.random.default_rng(5)
    rows = [f"the {chance.choice(words)} flour of {chance.choice(['May', 'June'])} was {chance.choice(words)},{label}"
            for words, label in ((GOOD, "good"), (BAD, "bad")) for _ in range(300)]  # fmt: skip
    path = rig.folder / "flour.csv"
    path.write_text("\n".join(["text,label", *rows]))
    return rig.dataset(path, "text-classification")


@pytest.fixture(scope="module")
def encoder(rig: Rig) -> VersionRef:
    """A tiny BERT as sentence-transformers saves one: it is imported as text-embedding."""
    folder = rig.folder / "tiny"
    words: PreTrainedTokenizerFast = language.tokenizer()
    torch.manual_seed(0)
    BertModel(
        BertConfig(vocab_size=len(words), hidden_size=32, num_attention_heads=2, num_hidden_layers=2,
                   intermediate_size=64, max_position_embeddings=64)
    ).save_pretrained(folder)  # fmt: skip
    words.save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_bytes(
        msgspec.json.encode({"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True})
    )
    (folder / "modules.json").write_bytes(msgspec.json.encode([
        {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]))  # fmt: skip
    return rig.imported(folder, "tiny")


@pytest.fixture(scope="module")
def undisturbed(rig: Rig, texts: DatasetRef, encoder: VersionRef) -> Path:
    folder = rig.prepare("undisturbed", texts, ON_A_BASE, checkpoint_every_s=1000.0, base=encoder)
    found = finish(folder)
    assert found is not None
    assert (found.state, found.error) == (RunState.succeeded, None)
    return folder


def weights(folder: Path) -> bytes:
    return (folder / "bundle" / "weights" / "model.safetensors").read_bytes()


def test_an_encoder_learns_under_a_new_head_and_its_version_names_its_base(undisturbed: Path) -> None:
    bundle = undisturbed / "bundle"
    manifest = verify(bundle)
    assert (manifest.runtime, manifest.lineage.parent) == ("transformers", "tiny@1")
    assert manifest.metrics["test/accuracy"] > 0.9
    version = open_version("flour", bundle, manifest, Resources(1.0))
    outputs = version.outputs({"text": np.array([b"the golden flour of June was grand"], object)})
    assert manifest.signature.labels is not None
    assert manifest.signature.labels[int(outputs["probabilities"].argmax())] == "good"


@pytest.mark.parametrize("saved", [3, 26, 27, 28])  # an epoch has 27 steps
def test_a_run_that_died_at_any_step_ends_with_the_same_weights(
    rig: Rig, texts: DatasetRef, encoder: VersionRef, undisturbed: Path, saved: int
) -> None:
    folder = rig.prepare(f"died-{saved}", texts, ON_A_BASE, base=encoder, checkpoint_every_s=0.0)
    assert finish(folder, f"checkpoint.after-save:{saved}") is None
    assert max(path.stem for path in (folder / "checkpoints").iterdir()) == f"step-{saved:010d}"
    found = finish(rig.prepare(f"died-{saved}", texts, ON_A_BASE, attempt=2, base=encoder))
    assert found is not None
    whole = result(undisturbed)
    assert whole is not None
    assert (found.error, found.metrics) == (None, whole.metrics)
    assert weights(folder) == weights(undisturbed)


def test_a_merged_adapter_computes_what_peft_computes_with_it(encoder: VersionRef, tmp_path: Path) -> None:
    adapter = {"rank": 4, "alpha": 8.0}
    job = _job(ON_A_BASE | {"adapter": adapter}, encoder, tmp_path)
    model = starting_model(job).model
    assert isinstance(model, PeftModel)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert {("lora_" in name) or ("classifier" in name) for name in trained} == {True}
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # zeros at first, so that an adapter begins as its base
            torch.nn.init.normal_(parameter, std=0.5)
    tokens = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        before = model.eval()(input_ids=tokens).logits
        after = merged(model)(input_ids=tokens).logits
    assert after.numpy() == pytest.approx(before.numpy(), abs=1e-5)


def test_a_vit_learns_digits_from_its_config(rig: Rig) -> None:
    found = pytest.importorskip("sklearn.datasets").load_digits()
    path = rig.folder / "digits.npz"
    np.savez(path, image=(found.images * 255 / 16).astype(np.uint8)[..., None], label=found.target)
    digits = rig.dataset(path, "image-classification")
    recipe = {
        "task": "image-classification", "framework": "transformers",
        "architecture": {"name": "vit", "patch": 2, "width": 32, "layers": 2}, "optimiser": {"learning_rate": 0.003},
        "schedule": {"name": "one-cycle"}, "training": {"epochs": 4, "batch_size": 32},
    }  # fmt: skip
    folder = rig.prepare("vit", digits, recipe)
    ended = finish(folder)
    assert ended is not None
    assert (ended.error, ended.metrics["test/accuracy"] > 0.85) == (None, True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"regularisation": {"ema": 0.9}}, "Transformers' Trainer has no regularisation.ema"),
        ({"adapter": {"targets": ["nowhere"]}}, "The adapter does not fit the base"),
        ({"base": None, "architecture": {"name": "bilstm"}}, "Transformers has no architecture 'bilstm'"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_sentence(
    encoder: VersionRef, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    job = _job(ON_A_BASE | changes, encoder, tmp_path)
    with pytest.raises(Unprocessable, match=says):
        TransformersTrainer().train(job, Events(tmp_path, 1), tmp_path / "weights")


def test_a_base_that_reads_other_things_is_refused(rig: Rig, encoder: VersionRef) -> None:
    recipe = parse_recipe({"name": "m", "task": "image-classification", "data": {"dataset": "d"}, "base": "tiny",
                           "framework": "transformers"})  # fmt: skip
    spec = RunSpec(id="r", tenant="t", kind="train", attempt=1, seed=0, resources=Resources(1.0), blobs_url="",  # type: ignore[arg-type]
                   base=encoder)  # fmt: skip
    texts = verify(Path(encoder.folder)).signature
    images = msgspec.structs.replace(texts, inputs=(msgspec.structs.replace(texts.inputs[0], name="image"),))
    with pytest.raises(Unprocessable, match="The base tiny@1 takes text BYTES"):
        open_base(spec, recipe, images)
    with pytest.raises(Unprocessable, match=r"no field 'preprocessing\.lowercase'"):
        open_base(spec, recipe.model_copy(update={"preprocessing": {"lowercase": True}}), texts)


def _job(recipe: dict[str, Any], base: VersionRef, checkpoints: Path) -> TrainJob:
    nothing = Split({"tokens": np.zeros((1, 4), np.int64)}, np.zeros(1, np.int64))
    parsed = parse_recipe(recipe | {"name": "flour", "data": {"dataset": "flour"}})
    return TrainJob(parsed, nothing, nothing, 2, 10, checkpoints, 0, Resources(1.0), 1.0,
                    base=Path(base.folder) if parsed.base else None)  # fmt: skip
