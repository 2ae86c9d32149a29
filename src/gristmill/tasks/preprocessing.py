"""Preprocessing: fitted on training rows, kept as data, replayed at serving to the letter. numpy only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec
import numpy as np

from gristmill.tasks.series import ScaleSeries
from gristmill.tasks.subwords import Subwords

Tensors = dict[str, np.ndarray]
TOKEN = re.compile(r"\w+|[^\w\s]")
PADDING, UNKNOWN = 0, 1


class PassThrough(msgspec.Struct, frozen=True, tag="pass-through"):
    """Raw tensors are the model's own."""

    def apply(self, raw: Tensors) -> Tensors:
        return raw

    def attribute_back(self, attributions: Tensors, raw: Tensors) -> tuple[np.ndarray, list[tuple[str, ...]] | None]:
        """Of the one tensor that there is."""
        (values,) = attributions.values()
        return values, None

    def baseline(self, raw: Tensors) -> Tensors:
        """Zeros."""
        return {name: np.zeros_like(values) for name, values in raw.items()}


class Standardise(msgspec.Struct, frozen=True, tag="standardise"):
    """`features` [N, F] → (x − mean) / std; missing values (NaN) first become `fill` where it was fitted."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    fill: tuple[float, ...] | None = None

    def apply(self, raw: Tensors) -> Tensors:
        values = raw["features"].astype(np.float32, copy=False)
        if self.fill is not None:
            values = np.where(np.isnan(values), np.asarray(self.fill, np.float32), values)
        mean, scale = _affine(self.mean, self.std)
        return {"features": (values - mean) * scale}

    def attribute_back(self, attributions: Tensors, raw: Tensors) -> tuple[np.ndarray, list[tuple[str, ...]] | None]:
        return attributions["features"], None

    def baseline(self, raw: Tensors) -> Tensors:
        """The training mean, which is zero once standardised."""
        return {"features": np.zeros((len(raw["features"]), len(self.mean)), np.float32)}


class NumberColumn(msgspec.Struct, frozen=True, tag="number"):
    name: str
    mean: float
    std: float
    fill: float


class CategoryColumn(msgspec.Struct, frozen=True, tag="category"):
    """One-hot with a last place for categories that training did not see."""

    name: str
    categories: tuple[str, ...]


class EncodeColumns(msgspec.Struct, frozen=True, tag="encode-columns"):
    """One raw input a column, [N, 1] numbers or BYTES → `features` [N, F'] side by side."""

    columns: tuple[NumberColumn | CategoryColumn, ...]

    def apply(self, raw: Tensors) -> Tensors:
        return {"features": np.concatenate([_encoded(column, raw[column.name]) for column in self.columns], axis=1)}

    def attribute_back(self, attributions: Tensors, raw: Tensors) -> tuple[np.ndarray, list[tuple[str, ...]] | None]:
        """A category's places are summed back to its column: attributions are additive."""
        starts = np.cumsum([0, *(_width(column) for column in self.columns[:-1])])
        return np.add.reduceat(attributions["features"], starts, axis=1), None

    def baseline(self, raw: Tensors) -> Tensors:
        """Mean numbers and no category."""
        rows = len(next(iter(raw.values())))
        return {"features": np.zeros((rows, sum(map(_width, self.columns))), np.float32)}


class NormaliseImage(msgspec.Struct, frozen=True, tag="normalise-image"):
    """`image` uint8 [N, H, W, C] → float32 [N, C, H, W], (x / 255 − mean) / std by channel; [N, H, W, C] where the
    model has its channels last."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels_last: bool = False

    def apply(self, raw: Tensors) -> Tensors:
        std = np.asarray(self.std, np.float64)
        scale = (1 / (255 * std)).astype(np.float32)
        shift = (np.asarray(self.mean, np.float64) / std).astype(np.float32)
        image = raw["image"].astype(np.float32)
        image *= scale
        image -= shift
        return {"image": image if self.channels_last else np.ascontiguousarray(image.transpose(0, 3, 1, 2))}

    def attribute_back(self, attributions: Tensors, raw: Tensors) -> tuple[np.ndarray, list[tuple[str, ...]] | None]:
        return attributions["image"].sum(axis=3 if self.channels_last else 1), None

    def baseline(self, raw: Tensors) -> Tensors:
        """A black image."""
        return self.apply({"image": np.zeros_like(raw["image"])})


class Tokenise(msgspec.Struct, frozen=True, tag="tokenise"):
    """`text` BYTES [N] → `tokens` int64 [N, T], T the longest of the batch and at most `max_length`.

    Tokens are lower-case words and single marks; 0 pads, 1 stands for what the vocabulary lacks.
    """

    padding: ClassVar[int] = PADDING
    unknown: ClassVar[int] = UNKNOWN
    vocabulary: tuple[str, ...]  # of ids 2, 3, ...
    max_length: int
    lowercase: bool = True

    def apply(self, raw: Tensors) -> Tensors:
        ids = _ids(self.vocabulary)
        rows = [[ids.get(token, UNKNOWN) for token in tokens] for tokens in self._tokens(raw)]
        tokens = np.full((len(rows), max(1, *map(len, rows)) if rows else 1), PADDING, np.int64)
        for row, values in zip(tokens, rows, strict=True):
            row[: len(values)] = values
        return {"tokens": tokens}

    def attribute_back(self, attributions: Tensors, raw: Tensors) -> tuple[np.ndarray, list[tuple[str, ...]] | None]:
        return attributions["tokens"], [tuple(tokens) for tokens in self._tokens(raw)]

    def baseline(self, raw: Tensors) -> Tensors:
        """Padding throughout."""
        return {"tokens": np.zeros_like(self.apply(raw)["tokens"])}

    def _tokens(self, raw: Tensors) -> list[list[str]]:
        return [split_tokens(value, self.lowercase)[: self.max_length] for value in raw["text"].reshape(-1)]


Step = PassThrough | Standardise | EncodeColumns | NormaliseImage | Tokenise | Subwords | ScaleSeries


class Preprocessing(msgspec.Struct, frozen=True):
    """What stands in `preprocess.json`."""

    step: Step

    def apply(self, raw: Tensors) -> Tensors:
        """Raw tensors (the signature's inputs) → model tensors."""
        return self.step.apply(raw)

    def attribute_back(self, attributions: Tensors, raw: Tensors) -> tuple[np.ndarray, list[tuple[str, ...]] | None]:
        """Attributions of model tensors → of the raw values: [N, F], [N, H, W], or [N, T] and each row's names."""
        return self.step.attribute_back(attributions, raw)

    def baseline(self, raw: Tensors) -> Tensors:
        """Model tensors of the absence of information, in the shape of `raw`'s."""
        return self.step.baseline(raw)

    @property
    def vocabulary_size(self) -> int | None:
        """Number of token ids, padding and unknown included; None without text."""
        return len(self.step.vocabulary) + 2 if isinstance(self.step, Tokenise) else None


def encode_preprocessing(preprocessing: Preprocessing) -> bytes:
    return msgspec.json.encode(preprocessing)


def decode_preprocessing(data: bytes) -> Preprocessing:
    """Raises msgspec.DecodeError."""
    return msgspec.json.decode(data, type=Preprocessing)


def split_tokens(text: bytes | str, lowercase: bool = True) -> list[str]:
    decoded = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return TOKEN.findall(decoded.lower() if lowercase else decoded)


def fit_standardise(values: np.ndarray, *, impute: bool) -> Standardise:
    """Column means and standard deviations of [N, F]; with `impute`, medians for what is missing."""
    mean = np.nanmean(values, axis=0, dtype=np.float64)
    std = np.nanstd(values, axis=0, dtype=np.float64)
    fill = _floats(np.nanmedian(values, axis=0)) if impute else None
    return Standardise(_floats(mean), _floats(np.where(std > 0, std, 1.0)), fill)


def _floats(values: np.ndarray | np.float64) -> tuple[float, ...]:
    return tuple(float(value) for value in np.atleast_1d(values))


def fit_columns(columns: Mapping[str, np.ndarray]) -> EncodeColumns:
    """Numbers and categories by their dtype; [N, 1] each."""
    return EncodeColumns(tuple(_fit_column(name, values.reshape(-1)) for name, values in columns.items()))


def fit_image(images: np.ndarray) -> NormaliseImage:
    """Mean and standard deviation by channel of uint8 [N, H, W, C]."""
    levels = np.stack(
        [np.bincount(images[..., channel].reshape(-1), minlength=256) for channel in range(images.shape[-1])]
    )
    values = np.arange(256) / 255
    mean = levels @ values / levels.sum(axis=1)
    variance = levels @ values**2 / levels.sum(axis=1) - mean**2
    std = np.sqrt(np.maximum(variance, 0))
    return NormaliseImage(tuple(mean.tolist()), tuple(np.where(std > 1e-6, std, 1.0).tolist()))


def fit_tokens(
    texts: Sequence[bytes], *, max_length: int, max_vocabulary: int, min_count: int, lowercase: bool
) -> Tokenise:
    """The most frequent tokens; ties in alphabetical order, so that the same texts give the same ids."""
    counts: dict[str, int] = {}
    for text in texts:
        for token in split_tokens(text, lowercase):
            counts[token] = counts.get(token, 0) + 1
    frequent = sorted((token for token, count in counts.items() if count >= min_count), key=lambda t: (-counts[t], t))
    return Tokenise(tuple(frequent[:max_vocabulary]), max_length, lowercase)


def _fit_column(name: str, values: np.ndarray) -> NumberColumn | CategoryColumn:
    if values.dtype == object:
        return CategoryColumn(name, tuple(sorted({_text(value) for value in values if value is not None})))
    numbers = values.astype(np.float64)
    std = float(np.nanstd(numbers))
    return NumberColumn(name, float(np.nanmean(numbers)), std if std > 0 else 1.0, float(np.nanmedian(numbers)))


def _encoded(column: NumberColumn | CategoryColumn, values: np.ndarray) -> np.ndarray:
    flat = values.reshape(-1)
    if isinstance(column, NumberColumn):
        numbers = flat.astype(np.float32)
        filled = np.where(np.isnan(numbers), np.float32(column.fill), numbers)
        return ((filled - np.float32(column.mean)) / np.float32(column.std))[:, None]
    places = _places(column.categories)
    hot = np.zeros((len(flat), _width(column)), np.float32)
    hot[np.arange(len(flat)), [places.get(_text(value), len(places)) for value in flat]] = 1
    return hot


def _width(column: NumberColumn | CategoryColumn) -> int:
    return 1 if isinstance(column, NumberColumn) else len(column.categories) + 1


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


# What is derived from a frozen step is made once: a step serves every batch of a worker's life.
_AFFINE: dict[tuple[tuple[float, ...], tuple[float, ...]], tuple[np.ndarray, np.ndarray]] = {}
_INDEX: dict[int, tuple[tuple[str, ...], dict[str, int]]] = {}


def _affine(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    known = _AFFINE.get((mean, std))
    if known is None:
        known = _AFFINE[mean, std] = np.asarray(mean, np.float32), (1 / np.asarray(std)).astype(np.float32)
    return known


def _index(names: tuple[str, ...], first: int) -> dict[str, int]:
    known = _INDEX.get(id(names))
    if known is None or known[0] is not names:
        known = _INDEX[id(names)] = names, {name: place for place, name in enumerate(names, first)}
    return known[1]


def _ids(vocabulary: tuple[str, ...]) -> dict[str, int]:
    return _index(vocabulary, UNKNOWN + 1)


def _places(categories: tuple[str, ...]) -> dict[str, int]:
    return _index(categories, 0)
