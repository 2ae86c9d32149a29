"""How well learning curves are foretold: `python -m benchmarks.learning_curves` (shared data; a minute).

To reach (issue 5): on the runs of "Revisiting Neural Scaling Laws" (Alabdulmohsin et al., NeurIPS 2022), by the data's
own train/test flag, median RMSLE of at most 0.0013 (LM), 0.006 (translation), 0.007 (BIG-Bench); on LCDB 1.1, at four
times the data, median and mean absolute error below the last value's, 90 % intervals that cover 85 to 95 %.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gristmill.books.forecast.learning_curve import forecast

LEDGER = Path(__file__).parents[2] / "shared" / "data" / "ledger"


def lcdb(sizes: int | None = None) -> str:
    """`sizes`: of each curve only so many points, evenly over the eightfold of rows that ends with the last known."""
    curves = defaultdict(list)
    for row in _rows("lcdb11_er_subset.csv"):
        if float(row["er_test"]) > 0:
            curves[row["openml_id"], row["learner"]].append((float(row["n_train"]), float(row["er_test"])))
    errors, last, covered = [], [], []
    for points in curves.values():
        x, y = np.array(sorted(points)).T
        known = x <= x[-1] / 4
        if known.sum() < 5:
            continue
        kept = _thinned(x[known], sizes) if sizes else np.flatnonzero(known)
        found = forecast(x[kept], y[kept], x[-1])
        errors.append(abs(found.value - y[-1]))
        last.append(abs(y[known][-1] - y[-1]))
        covered.append(found.low <= y[-1] <= found.high)
    return (
        f"LCDB 1.1, {len(errors)} curves, {sizes or 'all'} sizes: absolute error median {np.median(errors):.4f} "
        f"(last value {np.median(last):.4f}), mean {np.mean(errors):.4f} (last value {np.mean(last):.4f}); "
        f"90 % intervals cover {np.mean(covered):.1%}"
    )


def _thinned(x: np.ndarray, sizes: int) -> np.ndarray:
    wanted = np.log(np.geomspace(x[-1] / 8, x[-1], sizes))
    return np.unique(np.abs(np.log(x) - wanted[:, None]).argmin(axis=1))


def revisiting() -> Iterator[str]:
    curves = defaultdict(list)
    for row in _rows("revisiting_lang.csv"):
        point = (float(row["Seen Examples"]), float(row["Loss"]), row["Training"] == "1")
        curves[row["Domain"], row["Task"], row["Model"]].append(point)
    by_domain = defaultdict(list)
    for (domain, _, _), points in curves.items():
        x, y, known = np.array(sorted(points)).T
        training = known == 1
        told = {at: forecast(x[training], y[training], at).value for at in np.unique(x[~training])}
        missed = np.log([told[at] for at in x[~training]]) - np.log(y[~training])
        by_domain[domain].append(float(np.sqrt(np.mean(missed**2))))
    for domain, errors in by_domain.items():
        yield f"{domain}: median RMSLE {np.median(errors):.5f} of {len(errors)} curves"


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (LEDGER / name).open() as file:
        yield from csv.DictReader(file)


def main() -> None:
    if not LEDGER.exists():
        sys.stdout.write("The shared data is not here: nothing is measured.\n")
        return
    for line in (lcdb(), lcdb(sizes=6), *revisiting()):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
