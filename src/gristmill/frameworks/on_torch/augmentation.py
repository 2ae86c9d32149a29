"""Images that are another one each time they are seen: mirrored, moved, with a square blanked."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gristmill.tasks.recipe import Augmentation


def augmented(x: Tensor, wanted: Augmentation) -> Tensor:
    """[N, C, H, W] → the same. What comes into view is 0, the mean colour.

    All chance comes from torch's generator on the processor, which the checkpoint holds.
    """
    if wanted.flip or wanted.shift:
        x = _moved(x, wanted)
    return _blanked(x, wanted.erase) if wanted.erase else x


def _moved(x: Tensor, wanted: Augmentation) -> Tensor:
    """One gathering: pixel (r, c) of image n comes from row `rows[n, r]`, column `columns[n, c]`."""
    count, channels, height, width = x.shape
    rows, columns = torch.arange(height).expand(count, -1), torch.arange(width).expand(count, -1)
    if wanted.flip:
        columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
    if wanted.shift:
        down, right = torch.randint(0, 2 * wanted.shift + 1, (2, count, 1))
        x, rows, columns = F.pad(x, (wanted.shift,) * 4), rows + down, columns + right
    images, planes = torch.arange(count), torch.arange(channels)
    return x[images[:, None, None, None], planes[None, :, None, None], rows[:, None, :, None],
             columns[:, None, None, :]]  # fmt: skip


def _blanked(x: Tensor, side: int) -> Tensor:
    """Cutout (DeVries and Taylor 2017): the square's centre lies anywhere in the image."""
    count, _, height, width = x.shape
    inside = [_stretch(count, length, side).to(x.device) for length in (height, width)]
    return x.masked_fill(inside[0][:, None, :, None] & inside[1][:, None, None, :], 0.0)


def _stretch(count: int, length: int, side: int) -> Tensor:
    """[count, length]: `side` places that lie around a drawn one."""
    start = torch.randint(0, length, (count, 1)) - side // 2
    places = torch.arange(length)
    return (places >= start) & (places < start + side)
