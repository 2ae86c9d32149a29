"""vLLM's engine behind our verbs: adapters, grammars, scores and beginnings, against Transformers and PEFT.

In the environment of `gristmill runtimes install vllm`, with pytest and peft beside: the suite's own has no vLLM.
"""

from __future__ import annotations

import random
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from gristmill.core.errors import CorruptBundle, GristmillError, Unprocessable
from gristmill.core.generation import Sampling
from gristmill.core.types import Resources
from gristmill.frameworks.generation import Emission, Job
from gristmill.frameworks.lora import ADAPTER_WEIGHTS
from tests import adapters, language

pytest.importorskip("vllm", reason="vLLM is not installed: `gristmill runtimes install vllm`")

from gristmill.frameworks.vllm.generator import VllmGenerator

GREEDY = Sampling(temperature=0)
BLOCK = 128  # tokens of vLLM's cache on a CPU: whole blocks are reused
HEAD = 32  # the narrowest that it has kernels for
CLOSE = 0.06  # of logits: vLLM computes in bfloat16


class Only:
    """See frameworks/generation.Grammar: one of a few tokens at each place."""

    def __init__(self, places: Sequence[Sequence[int]], vocabulary: int) -> None:
        self.left, self.vocabulary, self.accepted = deque(places), vocabulary, list[int]()

    def allowed(self) -> np.ndarray:
        mask = np.zeros(self.vocabulary, bool)
        mask[list(self.left[0])] = True
        return mask

    def accept(self, token: int) -> None:
        self.accepted.append(token)
        self.left.popleft()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundle = tmp_path_factory.mktemp("bundle")
    words = language.tokenizer()
    language.model(len(words), dtype=torch.bfloat16, head=HEAD).save_pretrained(bundle / "weights")
    words.save_pretrained(bundle / "weights")
    return bundle


@pytest.fixture(scope="module")
def vocabulary() -> int:
    return len(language.tokenizer())


@pytest.fixture(scope="module")
def made(base: Path, vocabulary: int) -> Iterator[VllmGenerator]:
    facts = SimpleNamespace(context_length=language.CONTEXT, vocabulary=vocabulary)
    manifest: Any = SimpleNamespace(name="tiny", signature=SimpleNamespace(language=facts))
    generator = VllmGenerator.load(base, manifest, Resources(1.0))
    yield generator
    generator.close()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, vocabulary: int) -> dict[str, Path]:
    where = tmp_path_factory.mktemp("adapters")
    return {
        "all": adapters.save(where / "all", vocabulary, seed=1, head=HEAD),
        "attention": adapters.save(
            where / "attention", vocabulary, seed=2, rank=8, targets=("q_proj", "v_proj"), head=HEAD
        ),
        "stable": adapters.save(where / "stable", vocabulary, seed=3, rank=2, use_rslora=True, head=HEAD),
    }


@pytest.fixture
def adapted(made: VllmGenerator, folders: dict[str, Path]) -> Iterator[VllmGenerator]:
    for name, folder in folders.items():
        made.load_adapter(name, folder)
    yield made
    for name in folders:
        made.unload_adapter(name)


@pytest.fixture(scope="module")
def peft(folders: dict[str, Path], vocabulary: int) -> dict[str | None, Any]:
    """Models that give logits in float32."""
    models: dict[str | None, Any] = {
        name: adapters.opened(vocabulary, folder, HEAD) for name, folder in folders.items()
    }
    return {**models, None: language.model(vocabulary, head=HEAD)}


def drain(made: VllmGenerator) -> dict[int, list[Emission]]:
    given: dict[int, list[Emission]] = {}
    while made.busy:
        for emission in made.step():
            given.setdefault(emission.id, []).append(emission)
    return given


def tokens_of(emitted: Sequence[Emission]) -> list[int]:
    return [one.token for one in emitted]


@torch.inference_mode()
def logits(model: Any, tokens: Sequence[int], given: Sequence[int]) -> torch.Tensor:
    """[given, vocabulary]: from which each of `given` is drawn."""
    found: torch.Tensor = model(torch.tensor([[*tokens, *given]])).logits[0, len(tokens) - 1 : -1]
    return found


def check(model: Any, tokens: Sequence[int], given: Sequence[int]) -> None:
    """Greedy; where the likeliest are close, any of them is right."""
    for row, token in zip(logits(model, tokens, given), given, strict=True):
        assert row[token] > row.max() - CLOSE * row.abs().max()


def prompt(drawn: random.Random, vocabulary: int, longest: int = 30) -> list[int]:
    return [drawn.randrange(vocabulary) for _ in range(drawn.randint(1, longest))]


def test_sequences_of_several_adapters_in_one_batch_get_pefts_tokens(
    adapted: VllmGenerator, peft: dict[str | None, Any], vocabulary: int
) -> None:
    drawn = random.Random(3)
    jobs = [Job(number, prompt(drawn, vocabulary), drawn.randint(2, 10), GREEDY, frozenset(), adapter=name)
            for number, name in enumerate([*peft] * 3)]  # fmt: skip
    for one in jobs:
        adapted.submit(one)
    given = drain(adapted)
    for one in jobs:
        assert len(given[one.id]) == one.max_tokens
        check(peft[one.adapter], one.tokens, tokens_of(given[one.id]))


def test_adapters_change_what_is_likely_as_in_peft(adapted: VllmGenerator, peft: dict[str | None, Any]) -> None:
    for number, name in enumerate(peft):
        adapted.submit(Job(number, [5, 6, 7], 1, GREEDY, frozenset(), logprobs=4, adapter=name))
    given = drain(adapted)
    for number, name in enumerate(peft):
        own = logits(peft[name], [5, 6, 7], [0])[0].log_softmax(0)
        for token, logprob in given[number][0].top:
            assert logprob == pytest.approx(float(own[token]), abs=0.3)


def test_a_beginning_is_reused_only_under_the_same_adapter(
    adapted: VllmGenerator, folders: dict[str, Path], peft: dict[str | None, Any]
) -> None:
    tokens = [number % 250 for number in range(BLOCK + 20)]
    reused = {}
    for number, name in enumerate(("all", "attention", None, "all")):
        adapted.submit(Job(number, [*tokens, number], 3, GREEDY, frozenset(), adapter=name))
        given = drain(adapted)[number]
        check(peft[name], [*tokens, number], tokens_of(given))
        reused[number] = given[0].cached
    assert reused == {0: 0, 1: 0, 2: 0, 3: BLOCK}
    adapted.load_adapter("all", folders["stable"])  # another under its name
    adapted.submit(Job(9, [*tokens, 9], 3, GREEDY, frozenset(), adapter="all"))
    given = drain(adapted)[9]
    assert given[0].cached == 0
    check(peft["stable"], [*tokens, 9], tokens_of(given))


def test_an_unloaded_adapter_ends_what_it_began_and_begins_nothing(
    adapted: VllmGenerator, peft: dict[str | None, Any]
) -> None:
    adapted.submit(Job(0, [5, 6, 7], 10, GREEDY, frozenset(), adapter="all"))
    begun = adapted.step()
    adapted.unload_adapter("all")
    with pytest.raises(Unprocessable, match="no adapter 'all'"):
        adapted.submit(Job(1, [5], 1, GREEDY, frozenset(), adapter="all"))
    check(peft["all"], [5, 6, 7], tokens_of([*begun, *drain(adapted)[0]]))


def _another_size(folder: Path) -> None:
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    name = next(name for name in tensors if "k_proj.lora_B" in name)
    save_file({**tensors, name: torch.zeros(32, 4)}, folder / ADAPTER_WEIGHTS)


def _another_layer(folder: Path) -> None:
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    save_file({name.replace("layers.1.", "layers.7."): one for name, one in tensors.items()}, folder / ADAPTER_WEIGHTS)


def _embedding(folder: Path) -> None:
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    save_file({name.replace("layers.1.self_attn.q_proj", "embed_tokens"): one for name, one in tensors.items()},
              folder / ADAPTER_WEIGHTS)  # fmt: skip


def _no_number(folder: Path) -> None:
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    save_file({name: one * float("nan") for name, one in tensors.items()}, folder / ADAPTER_WEIGHTS)


@pytest.mark.parametrize(
    ("spoil", "kind", "sentence"),
    [
        (_another_size, Unprocessable, "goes from 64 to 32 and the base's from 64 to 64"),
        (_another_layer, Unprocessable, "which the base does not have"),
        (_embedding, Unprocessable, "which is no linear layer inside the model"),
        (_no_number, CorruptBundle, "are no numbers"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_and_changes_nothing(
    spoil: Any, kind: type[GristmillError], sentence: str, adapted: VllmGenerator, folders: dict[str, Path],
    peft: dict[str | None, Any], tmp_path: Path,
) -> None:  # fmt: skip
    spoilt = shutil.copytree(folders["all"], tmp_path / "spoilt")
    spoil(spoilt)
    with pytest.raises(kind, match=sentence):
        adapted.load_adapter("attention", spoilt)
    adapted.submit(Job(0, [5, 6, 7], 4, GREEDY, frozenset(), adapter="attention"))
    check(peft["attention"], [5, 6, 7], tokens_of(drain(adapted)[0]))


def test_grammars_rule_out_what_may_not_come_in_their_own_sequences_only(
    made: VllmGenerator, peft: dict[str | None, Any], vocabulary: int
) -> None:
    drawn = random.Random(5)
    places = [[[drawn.randrange(vocabulary) for _ in range(4)] for _ in range(6)] for _ in range(3)]
    grammars = [Only(one, vocabulary) for one in places]
    prompts = [prompt(drawn, vocabulary) for _ in range(6)]
    for number, tokens in enumerate(prompts):
        grammar = grammars[number] if number < 3 else None
        made.submit(Job(number, tokens, 6, GREEDY, frozenset(), 0, grammar))
    given = drain(made)
    for number, tokens in enumerate(prompts):
        emitted = given[number]
        if number >= 3:
            check(peft[None], tokens, tokens_of(emitted))
            continue
        assert grammars[number].accepted == tokens_of(emitted)
        for row, one, allowed in zip(logits(peft[None], tokens, tokens_of(emitted)), emitted, places[number],
                                     strict=True):  # fmt: skip
            assert one.token in allowed
            assert row[one.token] > row[allowed].max() - CLOSE * row.abs().max()
            assert one.logprob == pytest.approx(float(row.log_softmax(0)[one.token]), abs=0.5)  # of the model's own


def test_a_grammar_holds_where_tokens_are_drawn_by_chance(made: VllmGenerator, vocabulary: int) -> None:
    grammar = Only([[3, 4, 5]] * 12, vocabulary)
    made.submit(Job(0, [5, 6], 12, Sampling(temperature=2.0, seed=3), frozenset(), None, grammar))
    made.submit(Job(1, [5, 6], 12, Sampling(temperature=2.0, seed=3), frozenset()))
    given = drain(made)
    assert set(tokens_of(given[0])) <= {3, 4, 5}
    assert len(set(tokens_of(given[0]))) > 1
    assert not set(tokens_of(given[1])) <= {3, 4, 5}


@pytest.mark.parametrize("length", [2, 3, 40, language.CONTEXT])
def test_given_texts_are_scored_as_transformers_scores_them(
    adapted: VllmGenerator, peft: dict[str | None, Any], vocabulary: int, length: int
) -> None:
    drawn = random.Random(length)
    tokens = [drawn.randrange(vocabulary) for _ in range(length)]
    for name in (None, "all"):
        scored = adapted.score(tokens, name)
        own = logits(peft[name], tokens[:1], tokens[1:]).log_softmax(1)
        wanted = own[torch.arange(length - 1), torch.tensor(tokens[1:])].numpy()
        assert scored.shape == (length - 1,)
        assert np.abs(scored - wanted).max() < 0.5
        assert abs(float(scored.mean() - wanted.mean())) < 0.05
    assert not adapted.busy


def test_a_sequence_that_is_cancelled_leaves_at_once(made: VllmGenerator) -> None:
    made.submit(Job(0, [5, 6, 7], 50, GREEDY, frozenset()))
    made.submit(Job(1, [5, 6, 7], 3, GREEDY, frozenset()))
    made.step()
    made.cancel(0)
    assert [one.id for one in made.step()] == [1]
    made.cancel(1)
    assert not made.busy
