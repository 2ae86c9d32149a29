"""Many LoRA adapters on one base: each sequence gets what PEFT gives with its adapter, whoever is in the batch."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gristmill.core.errors import CorruptBundle, GristmillError, Unprocessable
from gristmill.core.generation import Sampling
from gristmill.frameworks.generation import Job
from gristmill.frameworks.lora import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from gristmill.frameworks.transformers.generator import TransformersGenerator
from tests import adapters, language

VOCABULARY = 300
GREEDY = Sampling(temperature=0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    where = tmp_path_factory.mktemp("adapters")
    return {
        "all": adapters.save(where / "all", VOCABULARY, seed=1),
        "attention": adapters.save(where / "attention", VOCABULARY, seed=2, rank=8, targets=("q_proj", "v_proj")),
        "stable": adapters.save(where / "stable", VOCABULARY, seed=3, rank=2, use_rslora=True),
    }


@pytest.fixture(scope="module")
def peft(folders: dict[str, Path]) -> dict[str | None, Any]:
    models: dict[str | None, Any] = {name: adapters.opened(VOCABULARY, folder) for name, folder in folders.items()}
    return {**models, None: language.model(VOCABULARY)}


def generator(folders: dict[str, Path]) -> TransformersGenerator:
    made = TransformersGenerator(language.model(VOCABULARY), language.CONTEXT, 2**28)
    for name, folder in folders.items():
        made.load_adapter(name, folder)
    return made


def drain(made: TransformersGenerator) -> dict[int, list[int]]:
    given: dict[int, list[int]] = {}
    while made.busy:
        for emission in made.step():
            given.setdefault(emission.id, []).append(emission.token)
    return given


def job(number: int, tokens: list[int], count: int, adapter: str | None, logprobs: int | None = None) -> Job:
    return Job(number, tokens, count, GREEDY, frozenset(), logprobs, adapter=adapter)


def test_sequences_of_several_adapters_in_one_batch_get_pefts_tokens(
    folders: dict[str, Path], peft: dict[str | None, Any]
) -> None:
    made, drawn = generator(folders), random.Random(3)
    jobs = [
        job(number, [drawn.randrange(VOCABULARY) for _ in range(drawn.randint(1, 30))], drawn.randint(2, 10), adapter)
        for number, adapter in enumerate([*folders, None] * 3)
    ]
    for one in jobs:
        made.submit(one)
    assert drain(made) == {one.id: adapters.greedy(peft[one.adapter], one.tokens, one.max_tokens) for one in jobs}


def test_log_probabilities_are_pefts(folders: dict[str, Path], peft: dict[str | None, Any]) -> None:
    made = generator(folders)
    for number, name in enumerate(folders):
        made.submit(job(number, [5, 6, 7], 1, name, logprobs=4))
    emitted = {one.id: one for one in made.step()}
    for number, name in enumerate(folders):
        with torch.inference_mode():
            own = peft[name](input_ids=torch.tensor([[5, 6, 7]])).logits[0, -1].log_softmax(0)
        assert [logprob for _, logprob in emitted[number].top] == pytest.approx(own.topk(4).values.tolist(), abs=1e-4)


def test_rows_of_the_base_keep_their_bits_beside_adapters(folders: dict[str, Path]) -> None:
    def of_base(adapter: str | None) -> list[float | None]:
        made = generator(folders)
        for one in (job(0, [5, 6, 7], 8, None, logprobs=0), job(1, [8, 9, 10], 8, adapter, logprobs=0)):
            made.submit(one._replace(drafts=False))  # guesses would make other steps
        given: list[float | None] = []
        while made.busy:
            given += [one.logprob for one in made.step() if one.id == 0]
        return given

    assert of_base("all") == of_base(None)


def test_a_beginning_is_reused_only_under_the_same_adapter(
    folders: dict[str, Path], peft: dict[str | None, Any]
) -> None:
    made, tokens = generator(folders), [*range(40)]
    made.submit(job(0, tokens, 2, "all"))
    drain(made)
    cached = {}
    for number, adapter in enumerate(("attention", None, "all"), 1):
        made.submit(job(number, [*tokens, 250], 3, adapter))
        first = made.step()[0]
        cached[adapter] = first.cached
        assert [first.token, *drain(made)[number]] == adapters.greedy(peft[adapter], [*tokens, 250], 3)
    assert cached == {"attention": 0, None: 0, "all": 40}


def test_an_unloaded_adapter_ends_what_it_began_and_begins_nothing(
    folders: dict[str, Path], peft: dict[str | None, Any]
) -> None:
    made = generator(folders)
    made.submit(job(0, [5, 6, 7], 10, "all"))
    begun = [made.step()[0].token]
    made.unload_adapter("all")
    with pytest.raises(Unprocessable, match="no adapter 'all'"):
        made.submit(job(1, [5], 1, "all"))
    assert begun + drain(made)[0] == adapters.greedy(peft["all"], [5, 6, 7], 10)


def _another_size(folder: Path) -> None:
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    name = next(name for name in tensors if "q_proj.lora_A" in name)
    save_file({**tensors, name: torch.zeros(4, 32)}, folder / ADAPTER_WEIGHTS)


def _another_layer(folder: Path) -> None:
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    save_file({name.replace("layers.1.", "layers.7."): one for name, one in tensors.items()}, folder / ADAPTER_WEIGHTS)


def _no_number(folder: Path) -> None:
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    save_file({name: one * float("nan") for name, one in tensors.items()}, folder / ADAPTER_WEIGHTS)


def _half(folder: Path) -> None:
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    save_file({name: one for name, one in tensors.items() if "lora_A" in name}, folder / ADAPTER_WEIGHTS)


def _pickled(folder: Path) -> None:
    (folder / ADAPTER_WEIGHTS).rename(folder / "adapter_model.bin")


def _cut(folder: Path) -> None:
    (folder / ADAPTER_WEIGHTS).write_bytes((folder / ADAPTER_WEIGHTS).read_bytes()[:99])


def _configured(**more: Any) -> Any:
    def change(folder: Path) -> None:
        told = json.loads((folder / ADAPTER_CONFIG).read_text())
        (folder / ADAPTER_CONFIG).write_text(json.dumps({**told, **more}))

    return change


@pytest.mark.parametrize(
    ("spoil", "kind", "sentence"),
    [
        (_another_size, Unprocessable, "goes from 32 to 64 and the base's from 64 to 64"),
        (_another_layer, Unprocessable, "which the base does not have"),
        (_no_number, CorruptBundle, "are no numbers"),
        (_half, CorruptBundle, "do not belong together"),
        (_pickled, Unprocessable, "runs code when it is loaded"),
        (_cut, CorruptBundle, "no safetensors file, or cut short"),
        (_configured(use_dora=True), Unprocessable, "use_dora = True"),
        (_configured(peft_type="IA3"), Unprocessable, "of the kind 'IA3'"),
        (_configured(lora_alpha="much"), CorruptBundle, "is not what PEFT writes"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_and_changes_nothing(
    spoil: Any, kind: type[GristmillError], sentence: str, folders: dict[str, Path], peft: dict[str | None, Any],
    tmp_path: Path,
) -> None:  # fmt: skip
    spoilt = shutil.copytree(folders["all"], tmp_path / "spoilt")
    spoil(spoilt)
    made = generator({"attention": folders["attention"]})
    with pytest.raises(kind, match=sentence):
        made.load_adapter("attention", spoilt)
    made.submit(job(0, [5, 6, 7], 4, "attention"))
    assert drain(made)[0] == adapters.greedy(peft["attention"], [5, 6, 7], 4)
