"""The frame of a forecast: how much history a model sees, how far ahead it looks, and the season of its yardstick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gristmill.core.errors import Unprocessable
from gristmill.tasks.options import check_options


class Frame(NamedTuple):
    """In steps of the series: `window` of history, `horizon` ahead, `season` after which the naive forecast repeats."""

    window: int
    horizon: int
    season: int

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Frame:
        """A recipe's `preprocessing`, but for the `series` that it chooses. Raises Unprocessable naming the field."""
        for name in ("window", "horizon"):
            if name not in options:
                raise Unprocessable(f"The recipe lacks preprocessing.{name}: write it in steps of the series, as in "
                                    "window: 48 and horizon: 12.", field=f"preprocessing.{name}")  # fmt: skip
        chosen = check_options(options, {"window": 1, "horizon": 1, "season": 1, "series": []})
        chosen.pop("series")
        frame = cls(**chosen)
        if frame.season > frame.window:
            raise Unprocessable(
                f"The recipe's preprocessing.season is {frame.season}, longer than the window of {frame.window} steps: "
                "the naive forecast repeats what the window shows.", field="preprocessing.season",
            )  # fmt: skip
        return frame
