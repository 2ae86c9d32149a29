import os
from pathlib import Path

from gristmill.core.files import keep_newest


def test_the_newest_folders_stay_and_those_that_are_named(tmp_path: Path) -> None:
    for age, name in enumerate(("newest", "new", "old", "oldest", "used", ".unpacking")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.txt").write_text(name)
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    keep_newest(tmp_path, {"used"}, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".unpacking", "new", "newest", "used"]
    keep_newest(tmp_path / "nothing here", (), 2)
