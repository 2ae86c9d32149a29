from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core.errors import CorruptBundle, NotFound, Unprocessable
from gristmill.data import records
from gristmill.data.splits import NAMES, fingerprints, given_split, leaks, split
from gristmill.data.versions import build, load, splits
from gristmill.store.blobs import Blobs
from gristmill.store.database import Database

CSV = "size,colour,target\n" + "".join(f"{n % 7}.5,{'red' if n % 3 else 'blue'},{n % 2}\n" for n in range(60))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=200), st.integers(0, 5), st.integers(0, 2**32))
def test_every_row_is_in_one_split_and_duplicates_stay_together(rows: list[int], classes: int, seed: int) -> None:
    groups = np.asarray(rows, np.uint64)
    strata = groups.astype(np.int64) % (classes + 1)
    parts = split(groups, strata, (0.7, 0.15, 0.15), seed)
    assert sorted(np.concatenate([parts[name] for name in NAMES])) == list(range(len(rows)))
    assert leaks(groups, parts) == 0
    again = split(groups, strata, (0.7, 0.15, 0.15), seed)
    assert all((parts[name] == again[name]).all() for name in NAMES)


def test_each_class_keeps_its_share_in_each_split() -> None:
    strata = np.repeat([0, 1, 2], [600, 300, 100])
    parts = split(np.arange(1000, dtype=np.uint64), strata, (0.7, 0.15, 0.15), 1)
    for name, share in zip(NAMES, (0.7, 0.15, 0.15), strict=True):
        counts = np.bincount(strata[parts[name]])
        np.testing.assert_allclose(counts, np.asarray([600, 300, 100]) * share, atol=1)


def test_a_given_split_is_kept_and_validation_comes_out_of_train() -> None:
    marks = np.asarray(["train"] * 80 + ["test"] * 20, object)
    parts = given_split(marks, np.arange(100, dtype=np.uint64), None, 0, 0.15)
    assert parts["test"].tolist() == list(range(80, 100))
    assert len(parts["validation"]) == 12
    assert not set(parts["train"]) & set(parts["validation"])


def test_equal_inputs_have_equal_fingerprints_and_others_not() -> None:
    texts = np.asarray(["a", "b", "a", None], object)
    found = fingerprints({"t": texts, "n": np.asarray([1, 1, 1, 1])})
    assert found[0] == found[2]
    assert len(set(found.tolist())) == 3


@pytest.mark.parametrize("ratios", [(0.5, 0.5), (1.0, 0.5, -0.5), (0.2, 0.2, 0.2), (0.0, 0.5, 0.5)])
def test_ratios_that_are_none_are_refused(ratios: tuple[float, ...]) -> None:
    with pytest.raises(Unprocessable, match="sum to 1"):
        split(np.arange(10, dtype=np.uint64), None, ratios, 0)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs((tmp_path / "blobs").as_uri())


def test_the_same_data_is_the_same_version_and_reads_back_as_it_was(tmp_path: Path, blobs: Blobs) -> None:
    (tmp_path / "t.csv").write_text(CSV)
    made = build(tmp_path / "t.csv", blobs, task="tabular-classification", target=None, options={})
    again = build(tmp_path / "t.csv", blobs, task="tabular-classification", target="target", options={})
    assert made.digest == again.digest
    assert (
        build(tmp_path / "t.csv", blobs, task="tabular-classification", target=None, options={"seed": 1}).digest
        != made.digest
    )
    columns = load(made.manifest, blobs)
    assert columns["colour"][:3].tolist() == ["blue", "red", "red"]
    assert sum(map(len, splits(made.manifest, blobs).values())) == made.rows == 60
    assert made.profile["columns"]["colour"]["values"] == {"blue": 20, "red": 40}
    assert made.profile["target"]["values"] == {"0": 30, "1": 30}
    assert any("repeat" in warning for warning in made.profile["warnings"])


def test_stored_data_that_changed_is_refused(tmp_path: Path, blobs: Blobs) -> None:
    (tmp_path / "t.csv").write_text(CSV)
    made = build(tmp_path / "t.csv", blobs, task=None, target=None, options={})
    digest = made.manifest["content"].removeprefix("sha256:")
    path = tmp_path / "blobs" / "sha256" / digest[:2] / digest
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CorruptBundle):
        load(made.manifest, blobs)


@pytest.mark.parametrize(
    ("task", "target", "options", "says"),
    [
        ("tabular-classification", "nothing", {}, "no column 'nothing'"),
        ("tabular-regression", "colour", {}, "holds text"),
        ("tabular-clasification", None, {}, "Did you mean 'tabular-classification'"),
        ("tabular-classification", None, {"headers": True}, "no data option 'headers'"),
        ("image-classification", None, {}, "no column 'image'"),
    ],
)
def test_data_that_does_not_fit_its_task_is_refused(
    tmp_path: Path, blobs: Blobs, task: str, target: str | None, options: dict[str, bool], says: str
) -> None:
    (tmp_path / "t.csv").write_text(CSV)
    with pytest.raises(Unprocessable, match=says):
        build(tmp_path / "t.csv", blobs, task=task, target=target, options=options)


def test_versions_are_numbered_once_by_content_and_kept_from_other_tenants(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'g.db'}")
    database.migrate()
    values = {"task": None, "manifest": {}, "profile": {}, "source": None, "licence": "CC0", "cost_micro": None,
              "currency": None, "rows": 1, "bytes": 1, "created_at": 1.0}  # fmt: skip
    with database.write() as connection:
        made = [records.add(connection, "a", "d", digest=digest, **values) for digest in ("x", "y", "x")]
        assert [(version.version, new) for version, new in made] == [(1, True), (2, True), (1, False)]
        assert records.resolve(connection, "a", "d").version == 2
        assert records.resolve(connection, "a", "d@1").digest == "x"
        for reference in ("d", "d@1", "d@x", "e"):
            with pytest.raises(NotFound):
                records.resolve(connection, "b", reference)
    database.close()


def test_a_table_whose_first_line_is_data_says_how_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("7.4,0.7,5\n7.8,0.9,6\n")
    with pytest.raises(Unprocessable, match=r"the columns are 7.4, 0.7, 5. Is the first line a row of data\? Then add"):
        build(
            tmp_path / "t.csv", Blobs((tmp_path / "blobs").as_uri()), task="tabular-regression", target=None, options={}
        )
