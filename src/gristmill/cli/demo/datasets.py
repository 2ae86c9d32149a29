"""Step 2: scikit-learn's own digits, wine and diabetes become dataset versions with licence and cost."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_diabetes, load_digits, load_wine

from gristmill.cli.data import profile_view
from gristmill.cli.demo.stage import Stage
from gristmill.cli.formats import size
from gristmill.cli.output import table


class Source(NamedTuple):
    name: str
    file: str
    task: str
    target: str
    licence: str | None
    cost: str
    origin: str


SOURCES = (
    Source(
        "wine", "wine.csv", "tabular-classification", "cultivar", "CC-BY-4.0", "25USD", "UCI Wine, Forina et al. 1991"
    ),
    Source("diabetes", "diabetes.csv", "tabular-regression", "progression", None, "40USD", "Efron et al. 2004, LARS"),
    Source(
        "digits", "digits.npz", "image-classification", "label", "CC-BY-4.0", "120USD", "UCI Optical Recognition, 1998"
    ),
)


def images() -> tuple[np.ndarray, np.ndarray]:
    """The digits as uint8 [1797, 8, 8, 1] in 0..255, and their labels int64 [1797]; scikit-learn gives 0..16."""
    digits = load_digits()
    return np.round(digits.images / 16 * 255).astype(np.uint8)[..., None], digits.target.astype(np.int64)


def write(folder: Path) -> None:
    """The three files that the demo adds."""
    wine, diabetes = load_wine(), load_diabetes()
    cultivars = [wine.target_names[target] for target in wine.target]
    _write_csv(folder / "wine.csv", [*wine.feature_names, "cultivar"], wine.data, cultivars)
    _write_csv(folder / "diabetes.csv", [*diabetes.feature_names, "progression"], diabetes.data, diabetes.target)
    image, label = images()
    np.savez(folder / "digits.npz", image=image, label=label)


def _write_csv(path: Path, header: list[str], rows: np.ndarray, targets: Any) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([*row, target] for row, target in zip(rows, targets, strict=True))


def add(stage: Stage) -> dict[str, Any]:
    """Add each with its licence and cost, and profile it."""
    write(stage.folder)
    with stage.client() as client:
        versions = [
            client.datasets.add(
                stage.folder / source.file,
                name=source.name,
                task=source.task,
                target=source.target,
                licence=source.licence,
                cost=source.cost,
                source=source.origin,
            )
            for source in SOURCES
        ]
        profiles = [client.datasets.profile(source.name) for source in SOURCES]
    rows = [
        {"dataset": f"{one['name']}@{one['version']}", "rows": one["rows"], "size": size(one["bytes"])}
        | {"licence": source.licence or "not stated", "cost": source.cost}
        for one, source in zip(versions, SOURCES, strict=True)
    ]
    stage.tell(table(rows, {key.upper(): key for key in rows[0]}), "", profile_view(profiles[-1]))
    return {"result": ", ".join(row["dataset"] for row in rows), "datasets": versions}
