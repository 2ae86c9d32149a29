from collections.abc import Iterator
from pathlib import Path

import pytest

from gristmill.control.platform import Platform
from gristmill.core.processes import living
from tests.control.rig import add_dataset, open_platform


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home folder, whose processes are gone afterwards."""
    yield tmp_path / "home"
    for kind in ("runs", "replicas", "gateways"):
        for folder in (tmp_path / "home" / kind).glob("*"):
            if (process := living(folder)) is not None:
                process.kill()


@pytest.fixture
def platform(home: Path) -> Iterator[Platform]:
    platform = open_platform(home)
    add_dataset(platform)
    yield platform
    platform.database.close()
