"""Texts → one of several classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from gristmill.core.errors import Malformed, Unprocessable
from gristmill.core.types import Signature, TensorSpec
from gristmill.tasks.classification import Classification, adopted_labels, encode_labels, probability_outputs, ranked
from gristmill.tasks.columns import check_there
from gristmill.tasks.options import check_options
from gristmill.tasks.preprocessing import Preprocessing, fit_tokens
from gristmill.tasks.protocol import Columns, Examples, ModelTensors, Tensors

_OPTIONS = {"max_length": 64, "max_vocabulary": 20_000, "min_count": 1, "lowercase": True}


class TextClassification(Classification):
    name = "text-classification"

    def check_columns(self, names: Collection[str], target: str | None) -> None:
        check_there(names, target or "label")

    def examples(self, columns: Columns, target: str | None, labels: Sequence[str] | None = None) -> Examples:
        """The text column is `text`, or the only column of text beside the target."""
        column = target or "label"
        self.check_columns(columns, target)
        texts = [name for name, values in columns.items() if name != column and values.dtype == object]
        if "text" not in texts and len(texts) != 1:
            raise Unprocessable(f"The data needs one column of text: its columns are {', '.join(columns)}.",
                                field="text")  # fmt: skip
        values = columns["text" if "text" in texts else texts[0]]
        missing = [row for row, value in enumerate(values) if value is None]
        if missing:
            raise Unprocessable(f"Row {missing[0] + 1} has no text.", field="text")
        text = np.asarray([value if isinstance(value, bytes) else str(value).encode() for value in values], object)
        targets, names = encode_labels(columns[column], labels, column)
        return Examples({"text": text}, targets, names, None)

    def signature(self, examples: Examples) -> Signature:
        assert examples.labels is not None
        return Signature(
            self.name, (TensorSpec("text", "BYTES", (-1,)),), probability_outputs(examples.labels), examples.labels
        )

    def fit_preprocessing(self, train: Examples, options: Mapping[str, Any]) -> Preprocessing:
        chosen = check_options(options, _OPTIONS)
        return Preprocessing(fit_tokens(list(train.inputs["text"]), **chosen))

    def adopt(self, model: ModelTensors) -> tuple[Signature, Preprocessing | None]:
        """A model of token ids; its tokenizer comes with it, for ids mean nothing without."""
        shapes = [(spec.name, spec.dtype, len(spec.shape)) for spec in model.inputs]
        if shapes != [("tokens", "INT64", 2)]:
            raise Unprocessable("A model of texts needs its tokenizer: import its Hugging Face folder, or import it "
                                "with --task tensors and send token ids.", field="task")  # fmt: skip
        labels = adopted_labels(model)
        return Signature(self.name, (TensorSpec("text", "BYTES", (-1,)),), probability_outputs(labels), labels), None

    def parse(self, payload: Any, content_type: str | None, signature: Signature) -> Tensors:
        texts = payload if isinstance(payload, list) else [payload]
        if not texts:
            raise Unprocessable("The inputs are empty: give at least one text.", field="inputs", got=0)
        return {"text": np.asarray([_utf8(text) for text in texts], object)}

    def answers(self, outputs: Tensors, signature: Signature, parameters: Mapping[str, Any]) -> list[Any]:
        return ranked(outputs, signature, parameters)


def _utf8(text: Any) -> bytes:
    if isinstance(text, str):
        return text.encode("utf-8", "replace")
    if not isinstance(text, bytes | bytearray | memoryview):
        raise Unprocessable("A text should be a string.", field="inputs", expected="a string", got=type(text).__name__)
    try:
        return bytes(text).decode().encode()
    except UnicodeDecodeError:
        raise Malformed("The text is not valid UTF-8.", field="inputs") from None
