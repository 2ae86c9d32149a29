"""Whatever comes and goes beside a sequence, llama.cpp gives it the tokens that Transformers gives it alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gristmill.core.errors import Unprocessable
from gristmill.core.generation import Sampling
from gristmill.frameworks.generation import Job
from gristmill.frameworks.lora import ADAPTER_WEIGHTS
from tests import adapters, language
from tests.gguf_files import tiny_gguf

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: it builds for minutes")

from gristmill.frameworks.llama_cpp import slots
from gristmill.frameworks.llama_cpp.context import Form, Model
from gristmill.frameworks.llama_cpp.generator import LlamaCppGenerator

GREEDY = Sampling(temperature=0)
VOCABULARY = 320
OF_A_TOKEN = 2 * 2 * 2 * 2 * 16  # bytes: keys and values, half precision, layers, heads, width


class Alone:
    """Transformers' own `generate`, one prompt at a time. Where the two likeliest are close, either is right."""

    def __init__(self, model: Any = None) -> None:
        self.model = model or language.model(VOCABULARY)

    @torch.inference_mode()
    def check(self, tokens: Sequence[int], given: Sequence[int]) -> None:
        logits = self.model(torch.tensor([[*tokens, *given]])).logits[0, len(tokens) - 1 : -1]
        for row, token in zip(logits, given, strict=True):
            assert row[token] > row.max() - 0.02


@pytest.fixture(scope="module")
def alone() -> Alone:
    return Alone()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def generator(file: Path, cells: int = 1 << 14, form: Form | None = None) -> LlamaCppGenerator:
    return LlamaCppGenerator(Model(file, form, 1), language.CONTEXT, cells * OF_A_TOKEN, 1)


@pytest.fixture
def made(file: Path) -> Iterator[LlamaCppGenerator]:
    opened = generator(file)
    yield opened
    opened.close()


def drain(made: LlamaCppGenerator) -> dict[int, list[int]]:
    given: dict[int, list[int]] = {}
    while made.busy:
        for emission in made.step():
            given.setdefault(emission.id, []).append(emission.token)
    return given


def prompts(count: int, seed: int) -> list[list[int]]:
    """Of many lengths; some begin alike."""
    drawn = random.Random(seed)
    beginning = [drawn.randrange(VOCABULARY) for _ in range(80)]
    return [beginning[: drawn.choice((0, 0, 12, 80))] + drawn.choices(range(VOCABULARY), k=drawn.randint(1, 60))
            for _ in range(count)]  # fmt: skip


def test_sequences_that_come_and_go_get_the_tokens_that_they_get_alone(made: LlamaCppGenerator, alone: Alone) -> None:
    drawn = random.Random(5)
    wanted: dict[int, tuple[list[int], int]] = {}
    given: dict[int, list[int]] = {}
    cancelled: set[int] = set()
    waiting = list(enumerate(prompts(60, 1)))
    while waiting or made.busy:
        for _ in range(drawn.choice((0, 0, 1, 3, 9))):
            if waiting:
                number, tokens = waiting.pop()
                wanted[number] = (tokens, drawn.randint(1, 20))
                made.submit(Job(number, tokens, wanted[number][1], GREEDY, frozenset()))
        if drawn.random() < 0.1 and wanted:
            gone = drawn.choice(list(wanted))
            cancelled.add(gone)
            made.cancel(gone)
        for emission in made.step() if made.busy else ():
            given.setdefault(emission.id, []).append(emission.token)
    for number, (tokens, count) in wanted.items():
        alone.check(tokens, given.get(number, []))
        assert len(given.get(number, [])) == count or number in cancelled


def test_when_memory_holds_few_sequences_the_others_wait_or_start_again(
    file: Path, alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "_FIRST_CAPACITY", 32)
    made = generator(file, cells=520)
    given_prompts = prompts(12, 2)
    for number, tokens in enumerate(given_prompts):
        made.submit(Job(number, tokens, 40, GREEDY, frozenset()))
    given = drain(made)
    made.close()
    assert {len(tokens) for tokens in given.values()} == {40}
    for number, tokens in enumerate(given_prompts):
        alone.check(tokens, given[number])


def test_a_beginning_that_was_computed_before_is_not_computed_again(made: LlamaCppGenerator, alone: Alone) -> None:
    tokens = [*range(60)]
    made.submit(Job(0, tokens, 3, GREEDY, frozenset()))
    drain(made)
    for number in (1, 2):  # one in the ended one's place, one beside it
        made.submit(Job(number, [*tokens[:50], 250 + number], 4, GREEDY, frozenset()))
    first = {one.id: one for one in made.step()}
    assert [first[number].cached for number in (1, 2)] == [50, 50]
    rest = drain(made)
    for number in (1, 2):
        alone.check([*tokens[:50], 250 + number], [first[number].token, *rest[number]])


def test_a_cancelled_sequence_leaves_at_once(made: LlamaCppGenerator) -> None:
    made.submit(Job(0, [1, 2, 3], 100, GREEDY, frozenset()))
    made.step()
    made.cancel(0)
    assert not made.busy


def test_sequences_of_several_adapters_get_pefts_tokens_as_they_come_and_go(
    made: LlamaCppGenerator, alone: Alone, tmp_path: Path
) -> None:
    peft: dict[str | None, Alone] = {None: alone}
    for seed, name in enumerate(("one", "other"), 1):
        more: Any = {"targets": ("q_proj", "k_proj", "down_proj"), "use_rslora": True} if seed == 2 else {}
        folder = adapters.save(tmp_path / name, VOCABULARY, seed=seed, rank=2 * seed, **more)
        made.load_adapter(name, folder)
        peft[name] = Alone(adapters.opened(VOCABULARY, folder))
    jobs = [Job(number, tokens, 6, GREEDY, frozenset(), adapter=list(peft)[number % 3])
            for number, tokens in enumerate(prompts(9, 4))]  # fmt: skip
    for one in jobs:
        made.submit(one)
    first = made.step()
    made.unload_adapter("one")
    with pytest.raises(Unprocessable, match="no adapter 'one'"):
        made.submit(jobs[1]._replace(id=99))
    rest = drain(made)
    for one in jobs:
        given = [emission.token for emission in first if emission.id == one.id] + rest[one.id]
        peft[one.adapter].check(one.tokens, given)
    made.submit(jobs[0]._replace(id=100, tokens=jobs[2].tokens, adapter="other"))
    assert made.step()[0].cached == len(jobs[2].tokens) - 1  # of the same adapter


def test_given_texts_are_scored_as_transformers_scores_them(
    made: LlamaCppGenerator, alone: Alone, tmp_path: Path
) -> None:
    folder = adapters.save(tmp_path / "one", VOCABULARY, seed=1)
    made.load_adapter("one", folder)
    tokens = [number * 7 % VOCABULARY for number in range(250)]
    for name, model in ((None, alone.model), ("one", adapters.opened(VOCABULARY, folder)), (None, alone.model)):
        with torch.inference_mode():
            own = model(torch.tensor([tokens])).logits[0, :-1].log_softmax(1)
        expected = own[torch.arange(len(tokens) - 1), torch.tensor(tokens[1:])]
        assert made.score(tokens, name) == pytest.approx(expected.numpy(), abs=0.05)  # keys are in half precision
    made.submit(Job(0, tokens[:50], 5, GREEDY, frozenset()))
    alone.check(tokens[:50], drain(made)[0])


def test_an_adapter_of_another_model_is_refused(made: LlamaCppGenerator, tmp_path: Path) -> None:
    folder = adapters.save(tmp_path / "wide", VOCABULARY, seed=1, targets=("q_proj",))
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    save_file({name.replace("layers.1.", "layers.7."): one for name, one in tensors.items()}, folder / ADAPTER_WEIGHTS)
    with pytest.raises(Unprocessable, match="which the base does not have"):
        made.load_adapter("wide", folder)


@pytest.mark.parametrize("form", list(Form))
def test_weights_in_another_form_give_nearly_the_same_log_probabilities(file: Path, form: Form) -> None:
    logprobs = []
    for turned in (None, form):
        made = generator(file, form=turned)
        made.submit(Job(0, [5, 6, 7], 1, GREEDY, frozenset(), logprobs=3))
        (emission,) = made.step()
        logprobs.append([value for _, value in emission.top])
        made.close()
    assert logprobs[1] == pytest.approx(logprobs[0], abs=0.15)


def test_one_sequence_is_generated_even_where_memory_holds_less(file: Path, alone: Alone) -> None:
    made = generator(file, cells=0)
    for number in range(2):
        made.submit(Job(number, [*range(200)], 20, GREEDY, frozenset()))
    given = drain(made)
    made.close()
    for number in range(2):
        alone.check([*range(200)], given[number])
