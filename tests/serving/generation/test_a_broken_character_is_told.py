from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.core.generation import Delta, Finish
from gristmill.frameworks.generation import Emission
from gristmill.serving.worker.generation.choice import Choice
from gristmill.serving.worker.generation.segments import Segments
from gristmill.serving.worker.generation.stop_strings import StopStrings
from gristmill.tasks.language.tokenizer import LanguageTokenizer
from tests import language


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> LanguageTokenizer:
    where: Path = tmp_path_factory.mktemp("tokenizer")
    language.tokenizer().save_pretrained(where)
    return LanguageTokenizer.open(where)


def written(tokenizer: LanguageTokenizer, tokens: list[int], stop: tuple[str, ...] = ()) -> tuple[str, Finish | None]:
    """What a choice says that ends after these tokens, by its length."""
    choice = Choice((1, 0), tokenizer, frozenset(), StopStrings(stop), Segments(frozenset()))
    deltas = [choice.add(Emission(1, token, finished=place == len(tokens) - 1)) for place, token in enumerate(tokens)]
    said = [delta for delta in deltas if isinstance(delta, Delta)]
    return "".join(delta.text for delta in said), said[-1].finish


@pytest.mark.parametrize("stop", [(), ("never",)])
def test_bytes_of_a_character_that_never_came_whole_end_an_answer_as_a_replacement(
    tokenizer: LanguageTokenizer, stop: tuple[str, ...]
) -> None:
    tokens = tokenizer.encode("mill €")
    assert written(tokenizer, tokens, stop) == ("mill €", Finish.length)
    assert written(tokenizer, tokens[:-1], stop) == ("mill \ufffd", Finish.length)


def test_whole_characters_between_broken_ones_are_kept(tokenizer: LanguageTokenizer) -> None:
    first, second = tokenizer.encode("€"), tokenizer.encode("ü")
    text, _ = written(tokenizer, [*first, *second[:1]])
    assert text == "€\ufffd"
