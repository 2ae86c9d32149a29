"""Attributions by pixel, laid over the enlarged image, beside the image alone."""

from __future__ import annotations

import numpy as np
from PIL import Image

from gristmill.explanation.colour import coloured, scaled
from gristmill.explanation.document import Explanation

_SIDE = 280  # pixels that a small image is enlarged to
_GAP = 8


def heat_map(explanation: Explanation, image: np.ndarray) -> Image.Image:
    """`image` uint8 [H, W, C] → the image, and the same in grey under its heat map."""
    values = scaled(np.asarray(explanation.values, np.float64))
    factor = max(1, _SIDE // max(values.shape))
    size = (values.shape[1] * factor, values.shape[0] * factor)
    plain = Image.fromarray(_rgb(image)).resize(size, Image.Resampling.NEAREST)
    heat = np.asarray(Image.fromarray(coloured(values)).resize(size, Image.Resampling.NEAREST), np.float64)
    # what says much hides the image, what says little shows it
    strength = np.asarray(Image.fromarray(np.abs(values).astype(np.float32)).resize(size, Image.Resampling.NEAREST))
    opacity = (0.35 + 0.6 * strength)[..., None]
    grey = np.asarray(plain.convert("L").convert("RGB"), np.float64)
    over = Image.fromarray(np.round(grey * (1 - opacity) + heat * opacity).astype(np.uint8))
    both = Image.new("RGB", (2 * size[0] + _GAP, size[1]), "white")
    both.paste(plain, (0, 0))
    both.paste(over, (size[0] + _GAP, 0))
    return both


def _rgb(image: np.ndarray) -> np.ndarray:
    """One channel three times; of four, the first three."""
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else np.ascontiguousarray(image[..., :3])
