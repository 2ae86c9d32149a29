"""A noisy sine with a trend, beside one that runs a quarter ahead of it: series that can be forecast in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

PERIOD = 12
ROWS = 480


def values(rows: int = ROWS, seed: int = 0) -> np.ndarray:
    """float64 [rows, 2]: `load`, `heat`."""
    chance, t = np.random.default_rng(seed), np.arange(rows)
    load = 3 * np.sin(2 * np.pi * t / PERIOD) + 0.02 * t + chance.normal(0, 0.1, rows)
    heat = 2 * np.cos(2 * np.pi * t / PERIOD) + chance.normal(0, 0.1, rows)
    return np.column_stack([load, heat])


def write(path: Path, rows: int = ROWS) -> Path:
    """A CSV of `time` by the hour, `load` and `heat`."""
    start = np.datetime64("2020-01-01T00:00:00")
    lines = [f"{str(start + np.timedelta64(row, 'h')).replace('T', ' ')},{load:.6f},{heat:.6f}"
             for row, (load, heat) in enumerate(values(rows))]  # fmt: skip
    path.write_text("\n".join(["time,load,heat", *lines]) + "\n")
    return path
