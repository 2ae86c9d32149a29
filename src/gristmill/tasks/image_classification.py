"""Images → one of several classes."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from gristmill.core.errors import Malformed, Unprocessable, UnsupportedMediaType
from gristmill.core.types import Signature, TensorSpec
from gristmill.tasks.classification import Classification, adopted_labels, encode_labels, probability_outputs, ranked
from gristmill.tasks.columns import check_there
from gristmill.tasks.options import check_options
from gristmill.tasks.preprocessing import NormaliseImage, Preprocessing, fit_image
from gristmill.tasks.protocol import Columns, Examples, ModelTensors, Tensors, shapes_of

MAX_PIXELS = 50_000_000  # of one picture before resizing: 200 MB decoded
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's, by channels
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


class ImageClassification(Classification):
    name = "image-classification"

    def check_columns(self, names: Collection[str], target: str | None) -> None:
        check_there(names, "image", target or "label")

    def examples(self, columns: Columns, target: str | None, labels: Sequence[str] | None = None) -> Examples:
        column = target or "label"
        self.check_columns(columns, target)
        images = columns["image"]
        if images.dtype != np.uint8 or images.ndim != 4:
            raise Unprocessable(
                f"Column 'image' should be uint8 of shape [N, H, W, C], and is {images.dtype} of {list(images.shape)}.",
                field="image",
            )
        targets, names = encode_labels(columns[column], labels, column)
        return Examples({"image": images}, targets, names, None)

    def signature(self, examples: Examples) -> Signature:
        assert examples.labels is not None
        image = TensorSpec("image", "UINT8", (-1, *examples.inputs["image"].shape[1:]))
        return Signature(self.name, (image,), probability_outputs(examples.labels), examples.labels)

    def fit_preprocessing(self, train: Examples, options: Mapping[str, Any]) -> Preprocessing:
        check_options(options, {})
        return Preprocessing(fit_image(train.inputs["image"]))

    def adopt(self, model: ModelTensors) -> tuple[Signature, Preprocessing]:
        """A model of one float tensor [N, C, H, W] or [N, H, W, C] takes pictures of that size."""
        height, width, channels, last = _picture(model)
        labels = adopted_labels(model)
        mean, std = model.mean or (0.0,) * channels, model.std or (1.0,) * channels
        if len(mean) != channels or len(std) != channels:
            raise Unprocessable(f"The picture has {channels} channels: --mean and --std take as many numbers.",
                                field="mean", expected=channels, got=len(mean))  # fmt: skip
        image = TensorSpec("image", "UINT8", (-1, height, width, channels))
        signature = Signature(self.name, (image,), probability_outputs(labels), labels)
        return signature, Preprocessing(NormaliseImage(mean, std, last))

    def parse(self, payload: Any, content_type: str | None, signature: Signature) -> Tensors:
        """Bytes of one picture, base64 text of one, or a list of such; resized to the size of training."""
        pictures = payload if isinstance(payload, list) else [payload]
        if not pictures:
            raise Unprocessable("The inputs are empty: give at least one picture.", field="inputs", got=0)
        shape = signature.inputs[0].shape[1:]
        return {"image": np.stack([_decoded(_bytes(picture), shape) for picture in pictures])}

    def answers(self, outputs: Tensors, signature: Signature, parameters: Mapping[str, Any]) -> list[Any]:
        return ranked(outputs, signature, parameters)


def _picture(model: ModelTensors) -> tuple[int, int, int, bool]:
    """Height, width, channels, and whether the channels are last. Raises Unprocessable."""
    shapes = [spec.shape for spec in model.inputs]
    if len(shapes) == 1 and len(shapes[0]) == 4:
        _, first, second, third = shapes[0]
        if first in _MODES and min(second, third) > 0:
            return second, third, first, False
        if third in _MODES and min(first, second) > 0:
            return first, second, third, True
    raise Unprocessable(
        f"An image classifier takes one tensor [-1, channels, height, width], and this one takes "
        f"{shapes_of(model.inputs)}: give its size with --input, or import it with --task tensors.", field="task",
    )  # fmt: skip


def _bytes(picture: Any) -> bytes:
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    if not isinstance(picture, str):
        raise Unprocessable("An image should be bytes or base64 text.", field="inputs", got=type(picture).__name__)
    text = picture.partition(";base64,")[2] if picture.startswith("data:") else picture
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("The image is not valid base64 text.", field="inputs") from None


def _decoded(data: bytes, shape: Sequence[int]) -> np.ndarray:
    height, width, channels = shape
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise Unprocessable(
                    f"The image has {picture.width} × {picture.height} pixels: at most {MAX_PIXELS} are taken.",
                    field="inputs",
                )
            converted = picture.convert(_MODES[channels])
            if converted.size != (width, height):
                converted = converted.resize((width, height), Image.Resampling.BILINEAR)
            return np.asarray(converted, np.uint8).reshape(height, width, channels)
    except UnidentifiedImageError:
        raise UnsupportedMediaType(
            f"The input is not a picture that can be read: send {', '.join(_FORMATS)}.", field="inputs"
        ) from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Malformed("The image is broken: it cannot be decoded to its end.", field="inputs") from error
