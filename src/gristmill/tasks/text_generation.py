"""Texts that go on: a prompt in, what a language model makes of it out."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.core.generation import LanguageFacts
from gristmill.core.types import Signature, TensorSpec
from gristmill.tasks.language.training_text import DOCUMENT, MESSAGES, TEXT
from gristmill.tasks.preprocessing import PassThrough, Preprocessing
from gristmill.tasks.protocol import Columns, Examples, ModelOutput, ModelTensors, Tensors

PROMPT, LIKELIEST = "prompt", "logprobs"
NLL, TOKENS = "nll", "tokens"  # float64 [N] both: of texts whose every token is scored
LIKELIEST_COUNT = 5
_GOLDEN_CHARACTERS = 64
_STREAMED = "A language model answers at /v1/chat/completions and /v1/completions, not with tensors."


def language_signature(facts: LanguageFacts) -> Signature:
    """Of any causal language model: `logprobs` are the five largest of the next token, which a replay compares."""
    return Signature(
        TextGeneration.name,
        (TensorSpec(PROMPT, "BYTES", (-1,)),),
        (TensorSpec(LIKELIEST, "FP32", (-1, LIKELIEST_COUNT)),),
        language=facts,
    )


def golden_prompts(inputs: Tensors, rows: int) -> Tensors:
    """The beginnings of texts, or the first messages of chats, as raw prompts."""
    if TEXT in inputs:
        texts = [str(text) for text in inputs[TEXT][:rows]]
    else:
        texts = [str(json.loads(chat)[0]["content"]) for chat in inputs[MESSAGES][:rows]]
    return {PROMPT: np.asarray([text[:_GOLDEN_CHARACTERS].encode() for text in texts], object)}


class TextGeneration:
    name = "text-generation"
    default_loss = "cross-entropy"
    primary_metric = "perplexity"
    higher_is_better = False

    def check_columns(self, names: Collection[str], target: str | None) -> None:
        if not {MESSAGES, TEXT} & set(names):
            raise Unprocessable(f"The data needs a column text or messages: its columns are {', '.join(names)}.",
                                field=TEXT)  # fmt: skip

    def examples(self, columns: Columns, target: str | None, labels: Sequence[str] | None = None) -> Examples:
        """Of a column `messages` (chats as JSON) or `text`; passages of one `document` belong together."""
        self.check_columns(columns, target)
        name = next(name for name in (MESSAGES, TEXT) if name in columns)
        missing = [row for row, value in enumerate(columns[name]) if not value]
        if missing:
            raise Unprocessable(f"Row {missing[0] + 1} has no {name}.", field=name)
        inputs = {one: columns[one] for one in (name, DOCUMENT) if one in columns}
        return Examples(inputs, np.zeros(len(columns[name]), np.int64), None, None)

    def signature(self, examples: Examples) -> Signature:
        """Without what only the trained model can say."""
        return language_signature(LanguageFacts(0, 0))

    def fit_preprocessing(self, train: Examples, options: Mapping[str, Any]) -> Preprocessing:
        return Preprocessing(PassThrough())

    def adopt(self, model: ModelTensors) -> tuple[Signature, Preprocessing | None]:
        raise Unprocessable("A language model is imported from its folder, with its tokenizer.", field="task")

    def parse(self, payload: Any, content_type: str | None, signature: Signature) -> Tensors:
        raise Unprocessable(_STREAMED, field="inputs")

    def outputs(self, model_output: ModelOutput, signature: Signature) -> Tensors:
        return {LIKELIEST: model_output} if isinstance(model_output, np.ndarray) else model_output

    def answers(self, outputs: Tensors, signature: Signature, parameters: Mapping[str, Any]) -> list[Any]:
        return outputs[LIKELIEST].tolist()  # type: ignore[no-any-return]

    def metrics(self, outputs: Tensors, targets: np.ndarray) -> dict[str, float]:
        """Of texts by their `nll`, the sum of natural log losses, over `tokens`; perplexity is a token's."""
        loss = float(outputs[NLL].sum() / max(1.0, float(outputs[TOKENS].sum())))
        return {"loss_per_token": loss, "perplexity": float(np.exp(loss))}
