"""Texts that go on: a prompt in, what a language model makes of it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.core.generation import LanguageFacts
from gristmill.core.types import Signature, TensorSpec
from gristmill.tasks.preprocessing import PassThrough, Preprocessing
from gristmill.tasks.protocol import Columns, Examples, ModelOutput, ModelTensors, Tensors

PROMPT, LIKELIEST = "prompt", "logprobs"
LIKELIEST_COUNT = 5
_STREAMED = "A language model answers at /v1/chat/completions and /v1/completions, not with tensors."


def language_signature(facts: LanguageFacts) -> Signature:
    """Of any causal language model: `logprobs` are the five largest of the next token, which a replay compares."""
    return Signature(
        TextGeneration.name,
        (TensorSpec(PROMPT, "BYTES", (-1,)),),
        (TensorSpec(LIKELIEST, "FP32", (-1, LIKELIEST_COUNT)),),
        language=facts,
    )


class TextGeneration:
    name = "text-generation"
    default_loss = "cross-entropy"
    primary_metric = "perplexity"
    higher_is_better = False

    def examples(self, columns: Columns, target: str | None, labels: Sequence[str] | None = None) -> Examples:
        raise Unprocessable("Language models are not trained from a table yet.", field="task")

    def signature(self, examples: Examples) -> Signature:
        raise Unprocessable("Language models are not trained from a table yet.", field="task")

    def fit_preprocessing(self, train: Examples, options: Mapping[str, Any]) -> Preprocessing:
        return Preprocessing(PassThrough())

    def adopt(self, model: ModelTensors) -> tuple[Signature, Preprocessing | None]:
        raise Unprocessable("A language model is imported from its folder, with its tokenizer.", field="task")

    def parse(self, payload: Any, content_type: str | None, signature: Signature) -> Tensors:
        raise Unprocessable(_STREAMED, field="inputs")

    def outputs(self, model_output: ModelOutput, signature: Signature) -> Tensors:
        assert isinstance(model_output, np.ndarray)
        return {LIKELIEST: model_output}

    def answers(self, outputs: Tensors, signature: Signature, parameters: Mapping[str, Any]) -> list[Any]:
        return outputs[LIKELIEST].tolist()  # type: ignore[no-any-return]

    def metrics(self, outputs: Tensors, targets: np.ndarray) -> dict[str, float]:
        return {}
