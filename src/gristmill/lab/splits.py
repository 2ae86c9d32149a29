"""A run's splits as a trainer takes them: model tensors by the preprocessing, or packed blocks of a tokenizer's ids."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gristmill.core.errors import Unprocessable
from gristmill.frameworks.protocol import Split
from gristmill.lab.base import Base
from gristmill.lab.loading import Splits
from gristmill.tasks.language.fitting import fit_tokenizer
from gristmill.tasks.language.tokenizer import LanguageTokenizer
from gristmill.tasks.language.training_text import MESSAGES, blocks_of, texts_of
from gristmill.tasks.options import check_options
from gristmill.tasks.preprocessing import Preprocessing
from gristmill.tasks.protocol import Examples, Task
from gristmill.tasks.recipe import Recipe
from gristmill.tasks.series import HISTORY, ScaleSeries
from gristmill.tasks.text_generation import TextGeneration

_CONTEXT = 256
_NEW = {"tokenizer": "bpe", "vocabulary": 4096, "context": _CONTEXT}  # options of a language model from nothing
TOKENS = "tokens"


class Prepared(NamedTuple):
    preprocessing: Preprocessing
    train: Split
    validation: Split
    vocabulary: int | None
    tokenizer: Path | None
    series: ScaleSeries | None = None


def prepare(recipe: Recipe, task: Task, splits: Splits, base: Base | None, folder: Path) -> Prepared:
    """Everything that is learned of the data is learned of its training rows. Raises Unprocessable."""
    if task.name == TextGeneration.name:
        return _language(recipe, task, splits, base, folder / "tokenizer")
    preprocessing = base.preprocessing if base else task.fit_preprocessing(splits.train, recipe.preprocessing)
    train, validation = _split(preprocessing, splits.train), _split(preprocessing, splits.validation)
    series = preprocessing.step if isinstance(preprocessing.step, ScaleSeries) else None
    return Prepared(preprocessing, train, validation, preprocessing.vocabulary_size, None, series)


def _split(preprocessing: Preprocessing, examples: Examples) -> Split:
    step, inputs = preprocessing.step, examples.inputs
    if isinstance(step, ScaleSeries):
        rows = {HISTORY: step.split(inputs[HISTORY])}
        return Split(rows, examples.targets, examples.references, step.window)
    return Split(preprocessing.apply(inputs), examples.targets)


def _language(recipe: Recipe, task: Task, splits: Splits, base: Base | None, folder: Path) -> Prepared:
    options = check_options(recipe.preprocessing, {"context": _CONTEXT} if base else _NEW)
    if base is not None:
        facts = base.manifest.signature.language
        if facts is not None and options["context"] > facts.context_length:
            raise Unprocessable(
                f"The recipe's preprocessing.context is {options['context']}, and the context length of "
                f"{base.reference} is {facts.context_length}.", field="preprocessing.context",
            )  # fmt: skip
        folder = base.folder / "weights"
    else:
        fit_tokenizer(
            texts_of(splits.train.inputs), options["tokenizer"], options["vocabulary"], folder,
            chat=MESSAGES in splits.train.inputs,
        )  # fmt: skip
    if not len(splits.validation.targets):
        raise Unprocessable("The dataset has no validation rows: add it with more text.", field="data.dataset")
    train, validation = (blocks_of(part.inputs, folder, options["context"]) for part in splits[:2])
    return Prepared(
        task.fit_preprocessing(splits.train, {}),
        Split({TOKENS: train.tokens}, train.labels),
        Split({TOKENS: validation.tokens}, validation.labels),
        LanguageTokenizer.open(folder).size,
        folder,
    )
