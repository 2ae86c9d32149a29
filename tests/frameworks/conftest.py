import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import waves


def _mills() -> str:
    """Sixty words of no meaning and one that decides, early or late."""
    chance = np.random.default_rng(0)
    words = [f"{a}{b}" for a in ("mill", "grain", "water", "stone", "flour", "wheel") for b in ("", "s", "er", "ing")]
    rows = []
    for _ in range(400):
        label = int(chance.integers(2))
        text = list(chance.choice(words, chance.integers(2, 14)))
        text.insert(int(chance.integers(len(text) + 1)), ("bad", "good")[label])
        rows.append(f"{' '.join(text)}\t{label}")
    return "\n".join(rows)


@pytest.fixture(scope="session")
def exercised(tmp_path_factory: pytest.TempPathFactory, wine_csv: Path) -> Callable[[str], dict[str, Any]]:
    """What tests/frameworks/exercise.py reports of a framework, run once a session."""
    data = pytest.importorskip("sklearn.datasets")
    pytest.importorskip("tensorflow")

    @cache
    def run(framework: str) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp(framework)
        digits, diabetes = data.load_digits(), data.load_diabetes()
        images = (digits.images[:700] * 255 / 16).astype(np.uint8)[..., None]
        np.savez(folder / "digits.npz", image=images, label=digits.target[:700])
        shutil.copy(wine_csv, folder / "wine.csv")
        table = np.column_stack([diabetes.data, diabetes.target])
        header = ",".join([*diabetes.feature_names, "target"])
        np.savetxt(folder / "diabetes.csv", table, delimiter=",", header=header, comments="")
        (folder / "mills.tsv").write_text(_mills())
        waves.write(folder / "waves.csv")
        command = [sys.executable, "-m", "tests.frameworks.exercise", framework, str(folder)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        assert ended.returncode == 0, ended.stderr[-3000:]
        report: dict[str, Any] = json.loads((folder / "report.json").read_text())
        return report

    return run
