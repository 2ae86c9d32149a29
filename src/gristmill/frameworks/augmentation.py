"""What a recipe's augmentation asks of the rows, in every framework."""

from __future__ import annotations

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.frameworks.protocol import Split
from gristmill.tasks.recipe import Augmentation


def check_augmentation(wanted: Augmentation, train: Split) -> None:
    """Rows are images [channels, height, width]. Raises Unprocessable."""
    if wanted == Augmentation():
        return
    (values,) = train.inputs.values()
    if len(train.row) != 3 or not np.issubdtype(values.dtype, np.floating):
        raise Unprocessable("augmentation changes images, and this model takes none: leave it out.",
                            field="augmentation")  # fmt: skip
    _, height, width = train.row
    for name in ("shift", "erase"):
        pixels = getattr(wanted, name)
        if pixels >= min(height, width):
            raise Unprocessable(
                f"augmentation.{name} is {pixels} pixels, and the images have {height} × {width}: some would be empty.",
                field=f"augmentation.{name}", got=pixels,
            )  # fmt: skip
