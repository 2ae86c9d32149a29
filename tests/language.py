"""A tiny language model for tests: a random Llama, a byte-level BPE tokenizer trained here, a chat template."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from gristmill.bundles.digests import verify
from gristmill.bundles.manifest import MANIFEST, digest_of
from gristmill.core.types import ImportRef, Resources, RunKind, RunSpec, Signature, Told, VersionRef
from gristmill.lab.events import Events
from gristmill.lab.imports.importing import import_run

CONTEXT = 256
TEXTS = (
    "All is grist to the mill.", "Data, compute and people's hours go in; models come out.",
    "The books say what each sack cost and what it earned.", '{"city": "Paris", "days": 3}',
    "How many sacks? Seven, said the miller, and the eighth was for the mill.",
)  # fmt: skip
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>", chat_template=CHAT_TEMPLATE)


def model(vocabulary: int, *, seed: int = 0, dtype: torch.dtype = torch.float32, head: int = 16) -> LlamaForCausalLM:
    """`head`: its width."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=CONTEXT, eos_token_id=0, bos_token_id=None, pad_token_id=None,
        tie_word_embeddings=True, initializer_range=0.2, head_dim=head,
    )  # fmt: skip
    return LlamaForCausalLM(config).to(dtype).eval()


def folder(where: Path) -> Path:
    """As save_pretrained writes it."""
    words = tokenizer()
    model(len(words)).save_pretrained(where)
    words.save_pretrained(where)
    return where


class LanguageBundle(NamedTuple):
    folder: Path
    digest: str
    signature: Signature


def bundle(where: Path, source: Path | None = None, base: LanguageBundle | None = None) -> LanguageBundle:
    """Imported from `source`, or from the tiny model's folder; of an adapter's folder with its base, tiny@1."""
    run = where / "run"
    run.mkdir(parents=True)
    upload = source or folder(where / "tiny")
    packed = upload.is_dir()
    if packed:
        with tarfile.open(where / "upload.tar", "w") as tar:
            tar.add(upload, arcname=".")
    spec = RunSpec(
        id="run_test", tenant="t", kind=RunKind.import_, attempt=1, seed=0, resources=Resources(1.0), blobs_url="",
        imported=ImportRef(source=upload.name, told=Told(), upload=str(where / "upload.tar" if packed else upload),
                           packed=packed),
        base=base and VersionRef(model="tiny", version=1, digest=base.digest, folder=str(base.folder)),
    )  # fmt: skip
    import_run(spec, run, Events(run, 1))
    made = run / "bundle"
    manifest = verify(made)
    return LanguageBundle(made, digest_of((made / MANIFEST).read_bytes()), manifest.signature)
