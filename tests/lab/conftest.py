from pathlib import Path

import numpy as np
import pytest

from gristmill.core.types import DatasetRef
from tests.lab.rig import Rig


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return Rig(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="session")
def wine(rig: Rig, wine_csv: Path) -> DatasetRef:
    return rig.dataset(wine_csv, "tabular-classification")


@pytest.fixture(scope="session")
def digits(rig: Rig) -> DatasetRef:
    """scikit-learn's 1,797 handwritten digits."""
    found = pytest.importorskip("sklearn.datasets").load_digits()
    path = rig.folder / "digits.npz"
    images = (found.images * 255 / 16).astype(np.uint8)
    np.savez(path, image=images[..., None], label=found.target)
    return rig.dataset(path, "image-classification")


@pytest.fixture(scope="session")
def diabetes(rig: Rig) -> DatasetRef:
    found = pytest.importorskip("sklearn.datasets").load_diabetes()
    path = rig.folder / "diabetes.csv"
    header = ",".join([*found.feature_names, "target"])
    rows = [
        ",".join(map(repr, map(float, (*row, target)))) for row, target in zip(found.data, found.target, strict=True)
    ]
    path.write_text("\n".join([header, *rows]))
    return rig.dataset(path, "tabular-regression")
