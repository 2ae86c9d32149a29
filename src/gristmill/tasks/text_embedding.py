"""Texts as vectors: what they mean, so that near vectors are near meanings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gristmill.core.errors import Malformed, Unprocessable
from gristmill.core.types import Signature, TensorSpec
from gristmill.tasks.preprocessing import Preprocessing
from gristmill.tasks.protocol import Columns, Examples, ModelOutput, ModelTensors, Tensors, shapes_of

TEXT, EMBEDDING, TOKENS = "text", "embedding", "tokens"
_NOT_TRAINED = "The task 'text-embedding' is for imported encoders: it neither trains nor evaluates yet."


class TextEmbedding:
    """`tokens` beside each vector: how many the model read, which is what is metered."""

    name = "text-embedding"
    default_loss = ""
    primary_metric = ""
    higher_is_better = True

    def examples(self, columns: Columns, target: str | None, labels: Sequence[str] | None = None) -> Examples:
        raise Unprocessable(_NOT_TRAINED, field="task")

    def signature(self, examples: Examples) -> Signature:
        raise Unprocessable(_NOT_TRAINED, field="task")

    def fit_preprocessing(self, train: Examples, options: Mapping[str, Any]) -> Preprocessing:
        raise Unprocessable(_NOT_TRAINED, field="task")

    def adopt(self, model: ModelTensors) -> tuple[Signature, Preprocessing | None]:
        found = {spec.name: spec for spec in model.outputs}
        if found.keys() != {EMBEDDING, TOKENS} or len(found[EMBEDDING].shape) != 2:
            given = shapes_of(model.outputs)
            raise Unprocessable(f"An encoder of texts gives a vector a text, and this model {given}.", field="task")
        outputs = (
            TensorSpec(EMBEDDING, "FP32", (-1, found[EMBEDDING].shape[1])),
            TensorSpec(TOKENS, "INT64", (-1,)),
        )
        return Signature(self.name, (TensorSpec(TEXT, "BYTES", (-1,)),), outputs), None

    def parse(self, payload: Any, content_type: str | None, signature: Signature) -> Tensors:
        """A text, or a list of them."""
        if isinstance(payload, bytes):
            payload = payload.decode("utf-8", "replace")
        texts = [payload] if isinstance(payload, str) else payload
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise Malformed("`inputs` should be a text or a list of texts.", field="inputs")
        return {TEXT: np.asarray([text.encode() for text in texts], object)}

    def outputs(self, model_output: ModelOutput, signature: Signature) -> Tensors:
        assert not isinstance(model_output, np.ndarray)
        return {EMBEDDING: model_output[EMBEDDING], TOKENS: model_output[TOKENS]}

    def answers(self, outputs: Tensors, signature: Signature, parameters: Mapping[str, Any]) -> list[Any]:
        """The vectors, as Hugging Face's feature extraction gives them."""
        vectors: list[Any] = outputs[EMBEDDING].tolist()
        return vectors

    def metrics(self, outputs: Tensors, targets: np.ndarray) -> dict[str, float]:
        return {}
