from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gristmill.core.errors import CorruptBundle, GristmillError, Unprocessable
from gristmill.frameworks.transformers.causal import fast_dtype
from gristmill.tasks.language.chat_template import CHAT_TEMPLATE
from gristmill.tasks.language.tokenizer import LanguageTokenizer
from tests import language
from tests.imports.rig import Rig


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return language.folder(tmp_path / "tiny-llama")


def test_a_causal_language_model_comes_with_its_tokenizer_and_its_chat_template(rig: Rig, folder: Path) -> None:
    found = rig.bring(folder)
    manifest, weights = found.manifest, found.folder / "bundle" / "weights"
    facts = manifest.signature.language
    assert facts is not None
    assert (manifest.task, manifest.runtime) == ("text-generation", "transformers")
    assert (facts.context_length, facts.chat, facts.tools) == (language.CONTEXT, True, False)
    assert (weights / CHAT_TEMPLATE).read_text() == language.CHAT_TEMPLATE
    tokenizer = LanguageTokenizer.open(weights)
    assert tokenizer.decode(tokenizer.encode("All is grist.")) == "All is grist."


def test_it_computes_as_transformers_does(rig: Rig, folder: Path) -> None:
    found = rig.bring(folder)
    tokens = language.tokenizer()("All is grist")["input_ids"]
    with torch.inference_mode():
        model = language.model(len(language.tokenizer()), dtype=fast_dtype())
        own = model(torch.tensor([tokens])).logits[0, -1].float().log_softmax(0)
    given = found.version.outputs({"prompt": np.array([b"All is grist"], object)})["logprobs"][0]
    assert given == pytest.approx(own.topk(5).values.numpy(), abs=0.1)  # bfloat16


def test_a_chat_template_inside_the_tokenizers_config_is_taken_out(rig: Rig, folder: Path) -> None:
    (folder / CHAT_TEMPLATE).unlink()
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["chat_template"] = [{"name": "default", "template": "{{ messages[0].content }}"}]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    found = rig.bring(folder)
    assert (found.folder / "bundle" / "weights" / CHAT_TEMPLATE).read_text() == "{{ messages[0].content }}"


def _no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def _with(**values: object) -> Callable[[Path], None]:
    """A config that says so."""

    def spoil(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text()) | values
        (folder / "config.json").write_text(json.dumps(config))

    return spoil


def _broken_template(folder: Path) -> None:
    (folder / CHAT_TEMPLATE).write_text("{% for %}")


def _endless_template(folder: Path) -> None:
    (folder / CHAT_TEMPLATE).write_text("x" * 1_000_001)


def _cut_short(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (_no_tokenizer, Unprocessable, "tokenizer.json"),
        (_with(auto_map={"AutoModelForCausalLM": "evil.Model"}), Unprocessable, "auto_map"),
        (_with(num_hidden_layers=3), CorruptBundle, "another architecture"),
        (_with(num_hidden_layers=10**9), CorruptBundle, "'1000000000' for 'num_hidden_layers'"),
        (_with(max_position_embeddings="many"), CorruptBundle, "'many' for 'max_position_embeddings'"),
        (_with(max_position_embeddings=0), CorruptBundle, "'0' for 'max_position_embeddings'"),
        (_with(max_position_embeddings=10**9), CorruptBundle, "'1000000000' for 'max_position_embeddings'"),
        (
            _with(model_type="mill2", transformers_version="99.1.0"),
            Unprocessable,
            r"knows no architecture 'mill2': the model was saved by Transformers 99.1.0, install that or a newer one",
        ),
        (_with(model_type="mill2", transformers_version=None), Unprocessable, "knows no architecture 'mill2'"),
        (_with(num_attention_heads=0), CorruptBundle, "cannot be opened by Transformers"),
        (_with(attn_implementation="evil/attention"), Unprocessable, "code from elsewhere in 'attn_implementation'"),
        (_endless_template, Unprocessable, "1000001 characters"),
        (_broken_template, Unprocessable, "template"),
        (_cut_short, CorruptBundle, "cut short"),
    ],
)
def test_what_is_wrong_is_refused_with_one_sentence(
    rig: Rig, folder: Path, spoil: Callable[[Path], None], error: type[GristmillError], says: str
) -> None:
    spoil(folder)
    with pytest.raises(error, match=says):
        rig.bring(folder)
    assert not (rig.run / "bundle").exists()
