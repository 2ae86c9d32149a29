"""Resampling of windows that overlap: their errors hang together, so that they are drawn in blocks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_CELLS_A_CHUNK = 1_000_000  # weights held at once: 4 MB stay in the cache


def block_length(losses: np.ndarray, least: int) -> int:
    """Windows [N] in a block: as many as the losses' own autocorrelation asks for, and `least`, those that overlap.

    Politis, White, "Automatic block-length selection for the dependent bootstrap", Econometric Reviews 23 (2004), with
    the correction of Patton, Politis, White (2009): the optimum for blocks that wrap around. At most half of them.
    """
    rows = len(losses)
    covariance = _autocovariance(losses)
    if rows < 4 or covariance[0] <= 0:
        return max(1, min(least, rows // 2))
    lags = np.arange(1, min(2 * _last_correlated(covariance, rows), rows - 1) + 1)
    window = np.minimum(1.0, 2 * (1 - lags / max(1, len(lags))))  # flat-top: 1 to the middle, then down to 0
    slope = 2 * float((window * lags * covariance[lags]).sum())
    spread = float(covariance[0] + 2 * (window * covariance[lags]).sum())
    best = (2 * slope**2 / (4 / 3 * spread**2)) ** (1 / 3) * rows ** (1 / 3) if spread > 0 else 0.0
    return max(1, min(max(least, int(min(best, 3 * rows**0.5) + 0.5)), rows // 2))


def block_resamplings(rows: int, resamples: int, block: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """How often each window is drawn, float32 [N, B] of chunks whose B sum to `resamples`.

    The moving-block bootstrap (Künsch, Annals of Statistics 17, 1989): blocks of `block` windows that follow each
    other, from any place, as many as give N windows again. They wrap around the end (Politis, Romano 1992), so that the
    first and last windows are drawn as often as the others.
    """
    chunk = max(1, min(resamples, _CELLS_A_CHUNK // rows))
    places = np.arange(-(-rows // block) * block)[:rows]
    for start in range(0, resamples, chunk):
        count = min(chunk, resamples - start)
        begins = rng.integers(rows, size=(-(-rows // block), count), dtype=np.int64)
        drawn = (begins[places // block] + (places % block)[:, None]) % rows
        drawn *= count
        drawn += np.arange(count)
        yield np.bincount(drawn.reshape(-1), minlength=rows * count).reshape(rows, count).astype(np.float32)


def by_block(values: np.ndarray, block: int) -> np.ndarray:
    """Sums over blocks of `block` values that follow each other; the last may be shorter."""
    return np.asarray(np.add.reduceat(values, np.arange(0, len(values), block)))


def _autocovariance(values: np.ndarray) -> np.ndarray:
    """At the lags 0 to N − 1."""
    centred = values.astype(np.float64) - values.mean(dtype=np.float64)
    spectrum = np.fft.rfft(centred, 2 * len(centred))
    return np.asarray(np.fft.irfft(np.abs(spectrum) ** 2)[: len(centred)] / len(centred))


def _last_correlated(covariance: np.ndarray, rows: int) -> int:
    """The lag after which five autocorrelations in a row, or more of long series, are not told from 0."""
    run = max(5, int(np.ceil(np.sqrt(np.log10(rows)))))
    most = min(rows - 1, int(np.ceil(np.sqrt(rows))) + run)
    known = np.abs(covariance[1 : most + 1] / covariance[0]) > 2 * np.sqrt(np.log10(rows) / rows)
    for lag in range(max(0, len(known) - run) + 1):
        if not known[lag : lag + run].any():
            return max(1, lag)
    return int(np.flatnonzero(known)[-1]) + 1
