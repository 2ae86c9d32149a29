from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from gristmill.core.errors import CorruptBundle, GristmillError, Unprocessable
from gristmill.explanation.explain import Explanation, explain
from gristmill.explanation.protocol import Subject
from gristmill.frameworks.protocol import Differentiable
from gristmill.lab.loading import LoadedVersion
from gristmill.tasks.protocol import Tensors
from tests.imports.rig import Rig

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"all is grist that comes to the mill".split()]
TEXTS = np.asarray([b"all is grist", b"grist that comes to the mill of others", b""], object)
SIZES: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture
def sentiment(tmp_path: Path) -> Path:
    """A tiny BERT with its tokenizer, saved as Transformers saves one."""
    torch.manual_seed(4)
    folder = tmp_path / "tiny-bert"
    config = transformers.BertConfig(vocab_size=len(WORDS), id2label={0: "bad", 1: "good"}, **SIZES)
    transformers.BertForSequenceClassification(config).eval().save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _logits(folder: Path, texts: np.ndarray) -> np.ndarray:
    """One text at a time: no padding."""
    model = transformers.BertForSequenceClassification.from_pretrained(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    with torch.no_grad():
        rows = [model(torch.tensor([tokenizer.encode(text.decode()).ids])).logits.numpy() for text in texts]
    return np.concatenate(rows)


def test_a_classifier_of_texts_comes_with_its_tokenizer_and_its_labels(rig: Rig, sentiment: Path) -> None:
    (sentiment / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# Tiny\n")
    found = rig.bring(sentiment)
    assert found.manifest.licence == "apache-2.0"
    assert (found.manifest.task, found.manifest.signature.labels) == ("text-classification", ("bad", "good"))
    expected = torch.from_numpy(_logits(sentiment, TEXTS)).softmax(dim=1).numpy()
    np.testing.assert_allclose(found.version.outputs({"text": TEXTS})["probabilities"], expected, rtol=1e-4)


def _explained(version: LoadedVersion, raw: Tensors, method: str) -> list[Explanation]:
    def scores(tensors: Tensors) -> np.ndarray:
        return version.task.outputs(version.runtime.infer(tensors), version.signature)["probabilities"]

    assert isinstance(version.runtime, Differentiable)
    gradients = version.runtime.integrated_gradients
    return explain(Subject(version.signature, version.preprocessing, scores, gradients), raw, method=method)


@pytest.mark.parametrize("method", ["occlusion", "integrated-gradients"])
def test_tokens_are_explained(rig: Rig, sentiment: Path, method: str) -> None:
    version = rig.bring(sentiment).version
    first, second = _explained(version, {"text": TEXTS[:2]}, method)
    assert first.names == ["[CLS]", "all", "is", "grist", "[SEP]"]
    assert (len(first.values), len(second.values)) == (5, 10)


def test_attributions_of_tokens_add_up_to_what_the_answer_moved(rig: Rig, sentiment: Path) -> None:
    """Completeness (Sundararajan, Taly, Yan 2017, proposition 1), from a text of padding under the same mask."""
    version = rig.bring(sentiment).version
    (explained,) = _explained(version, {"text": TEXTS[:1]}, "integrated-gradients")
    model = transformers.BertForSequenceClassification.from_pretrained(sentiment)
    tokens = torch.from_numpy(version.preprocessing.apply({"text": TEXTS[:1]})["tokens"])
    with torch.no_grad():
        ends = [model(ids, torch.ones_like(tokens)).logits.softmax(1) for ids in (tokens, torch.zeros_like(tokens))]
    moved = float(ends[0][0, explained.target] - ends[1][0, explained.target])
    assert sum(explained.values) == pytest.approx(moved, abs=1e-4)


def test_a_classifier_of_several_labels_a_text_gives_each_its_own_probability(rig: Rig, sentiment: Path) -> None:
    _changed(problem_type="multi_label_classification")(sentiment)
    version = rig.bring(sentiment).version
    expected = torch.from_numpy(_logits(sentiment, TEXTS)).sigmoid().numpy()
    np.testing.assert_allclose(version.outputs({"text": TEXTS})["probabilities"], expected, rtol=1e-4)
    (explained,) = _explained(version, {"text": TEXTS[:1]}, "integrated-gradients")
    assert explained.score == pytest.approx(expected[0].max(), abs=1e-4)
    assert explained.delta == pytest.approx(0, abs=1e-4)


def test_a_bare_encoder_takes_ids_and_gives_its_states(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    model = transformers.BertModel(transformers.BertConfig(vocab_size=20, **SIZES), add_pooling_layer=False).eval()
    model.save_pretrained(folder)
    found = rig.bring(folder)
    assert (found.manifest.task, found.manifest.signature.outputs[0].shape) == ("tensors", (-1, -1, 8))
    ids = np.asarray([[1, 2, 3], [4, 5, 0]], np.int64)
    mask = (ids != 0).astype(np.int64)
    with torch.no_grad():
        expected = model(torch.from_numpy(ids), torch.from_numpy(mask)).last_hidden_state.numpy()
    outputs = found.version.outputs({"input_ids": ids, "attention_mask": mask})
    np.testing.assert_allclose(outputs["last_hidden_state"], expected, rtol=1e-4, atol=1e-5)


def test_a_vision_transformer_takes_pictures_normalised_as_its_folder_says(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "vit"
    config = transformers.ViTConfig(image_size=8, patch_size=4, id2label={0: "cat", 1: "dog", 2: "eel"}, **SIZES)
    model = transformers.ViTForImageClassification(config).eval()
    model.save_pretrained(folder)
    told = {"size": {"height": 8, "width": 8}, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.4]}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    pictures = np.random.default_rng(2).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    values = (pictures / 255 - told["image_mean"]) / told["image_std"]
    with torch.no_grad():
        logits = model(torch.tensor(values.transpose(0, 3, 1, 2), dtype=torch.float32)).logits
    found = rig.bring(folder)
    assert found.manifest.signature.labels == ("cat", "dog", "eel")
    outputs = found.version.outputs({"image": pictures})
    explained = _explained(found.version, {"image": pictures[:1]}, "integrated-gradients")[0]
    assert np.shape(explained.values) == (8, 8)
    np.testing.assert_allclose(outputs["probabilities"], logits.softmax(dim=1).numpy(), rtol=1e-4)


def _without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def _broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))


def _changed(**fields: Any) -> Any:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **fields}))

    return change


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        (_without_tokenizer, Unprocessable, "has no tokenizer.json: a model of texts needs its tokenizer"),
        (_broken_tokenizer, CorruptBundle, "is not a tokenizer that can be opened"),
        (_pickled, Unprocessable, "convert pytorch_model.bin --to model.safetensors"),
        (_changed(auto_map={"AutoModel": "mine.Model"}), Unprocessable, "runs code that is not Transformers' own"),
        (_changed(hidden_size=12), CorruptBundle, "another architecture|do not agree"),
        (_changed(num_hidden_layers=2), CorruptBundle, "another architecture than config.json names: .* is missing"),
        (_changed(architectures=["BertForMaskedLM"]), Unprocessable, "'BertForMaskedLM' is not served"),
        (_cut, CorruptBundle, "do not agree"),
    ],
    ids=[
        "no tokenizer",
        "a broken tokenizer",
        "pickled weights",
        "remote code",
        "other shapes",
        "other layers",
        "another head",
        "cut weights",
    ],
)
def test_what_is_not_whole_or_not_safe_is_refused(
    rig: Rig, sentiment: Path, change: Any, kind: type[GristmillError], says: str
) -> None:
    change(sentiment)
    with pytest.raises(kind, match=says):
        rig.bring(sentiment)
    assert rig.left_over() == set()
