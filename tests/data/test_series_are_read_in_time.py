"""`data add --task time-series-forecasting`: rows in the order of time, one step apart; else the line that is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gristmill.core.errors import Unprocessable
from gristmill.data.versions import DatasetBuild, build, load, splits
from gristmill.store.blobs import Blobs

HOURS = [f"2020-01-01 {hour:02}:00:00" for hour in range(20)]


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs((tmp_path / "blobs").as_uri())


def table(times: list[Any], **columns: list[Any]) -> str:
    given = {"time": times, **(columns or {"load": list(range(len(times)))})}
    rows = zip(*given.values(), strict=True)
    return "\n".join([",".join(given), *(",".join(map(str, row)) for row in rows)]) + "\n"


def add(blobs: Blobs, folder: Path, text: str, target: str | None = None, **options: Any) -> DatasetBuild:
    path = folder / "mill.csv"
    path.write_text(text)
    return build(path, blobs, task="time-series-forecasting", target=target, options=options)


def test_rows_are_put_in_the_order_of_time_and_held_out_from_its_end(tmp_path: Path, blobs: Blobs) -> None:
    mixed = np.random.default_rng(1).permutation(20)
    made = add(blobs, tmp_path, table([HOURS[row] for row in mixed], load=mixed.tolist()))
    assert load(made.manifest, blobs)["load"].tolist() == list(range(20))
    parts = splits(made.manifest, blobs)
    assert [parts[name].tolist() for name in ("train", "validation", "test")] == [
        list(range(14)), [14, 15, 16], [17, 18, 19],
    ]  # fmt: skip
    told = {name: made.profile[name] for name in ("time", "from", "to", "step")}
    assert told == {"time": "time", "from": HOURS[0], "to": HOURS[-1], "step": "1 hour"}
    assert made.manifest["target"] == "load"
    ordered = add(blobs, tmp_path, table(HOURS))
    assert ordered.digest == made.digest, "the same rows in another order are the same version"


@pytest.mark.parametrize(
    ("times", "step"),
    [
        ([f"{1949 + month // 12}-{month % 12 + 1:02}" for month in range(30)], "1 month"),
        (["2020-01-31", "2020-02-29", "2020-03-31", "2020-04-30", "2020-05-31"], "1 month"),
        (["2019-11-30", "2020-02-29", "2020-05-31", "2020-08-31"], "3 months"),
        ([f"{year}-07-01" for year in range(1990, 2005)], "1 year"),
        ([f"2024-03-{day:02}" for day in range(1, 29)], "1 day"),
        ([f"2024-03-{day:02}" for day in range(1, 29, 7)], "1 week"),
        ([f"2024-03-01T00:{minute:02}:00Z" for minute in range(0, 60, 15)], "15 minutes"),
        ([f"2024-03-01 00:00:00.{tenth}" for tenth in range(10)], "0.1 seconds"),
        (list(range(1700, 2000)), "1"),
        ([round(0.5 * number, 1) for number in range(9)], "0.5"),
    ],
)
def test_the_step_is_found_by_the_calendar(tmp_path: Path, blobs: Blobs, times: list[Any], step: str) -> None:
    assert add(blobs, tmp_path, table(times)).manifest["step"] == step


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (table([*HOURS[:5], HOURS[2]]), r"'?2020-01-01 02:00:00'? in line 7 of mill\.csv stands in line 4 .* already"),
        (
            table([*HOURS[:5], HOURS[6], HOURS[7]]),
            r"step of 1 hour, and 2020-01-01 06:00:00 in line 7 .* does not come",
        ),
        (table(["1949-01", "1949-02", "1949-03", "1949-05"]), r"step of 1 month, and 1949-05 in line 5"),
        (table([*HOURS[:3], "13/2020"]), r"In line 5 of mill\.csv '13/2020' is no time: write it as"),
        (table([*HOURS[:3], ""]), r"In line 5 of mill\.csv there is no time"),
        (table(HOURS[:4], load=[1, "", 3, 4]), r"In line 3 of mill\.csv 'load' has no finite value"),
        (table(HOURS[:4], load=[1.0, 2.0, "inf", 4.0]), r"In line 4 of mill\.csv 'load' has no finite value"),
        (table(HOURS[:4], load=[1, 2, 3, "?"]), r"In line 5 of mill\.csv 'load' is '\?', and a series holds numbers"),
        (table(HOURS[:4], load=list("1234"), place=list("abcd")), r"In line 2 .* 'place' is 'a'"),
        (table(HOURS[:1]), r"The series has one row"),
        ("time\n2020\n2021\n", r"no series beside the time"),
        ("a,b\n1,2\n2,3\n", r"Say which column holds the time with --time: there are a, b"),
    ],
)
def test_what_is_no_series_is_told_by_its_line(tmp_path: Path, blobs: Blobs, text: str, says: str) -> None:
    with pytest.raises(Unprocessable, match=says) as told:
        add(blobs, tmp_path, text)
    assert "\n" not in told.value.message


def test_the_time_is_the_column_that_is_named(tmp_path: Path, blobs: Blobs) -> None:
    text = "hour,load,day\n0,5,2\n1,6,2\n2,8,2\n"
    made = add(blobs, tmp_path, text, "load", time="hour")
    assert (made.manifest["time"], made.manifest["step"]) == ("hour", "1")
    with pytest.raises(Unprocessable, match="There is no column 'moment' for the time: there are hour, load, day"):
        add(blobs, tmp_path, text, "load", time="moment")
    with pytest.raises(Unprocessable, match="A column of time is for --task time-series-forecasting"):
        build(tmp_path / "mill.csv", blobs, task="tabular-regression", target="load", options={"time": "hour"})


@pytest.mark.parametrize(
    ("target", "says"),
    [(None, "Say which series to forecast with --target: there are load, heat"), ("rain", "no series 'rain'"),
     ("load,rain", "no series 'rain'"), ("load,load", "twice the series 'load'")],
)  # fmt: skip
def test_the_target_is_one_of_the_series_or_several(
    tmp_path: Path, blobs: Blobs, target: str | None, says: str
) -> None:
    text = table(HOURS, load=list(range(20)), heat=list(range(20)))
    with pytest.raises(Unprocessable, match=says):
        add(blobs, tmp_path, text, target)
    assert add(blobs, tmp_path, text, "heat, load").manifest["target"] == "heat,load"


def test_a_split_that_is_given_keeps_to_the_order_of_time(tmp_path: Path, blobs: Blobs) -> None:
    marks = ["train"] * 12 + ["validation"] * 4 + ["test"] * 4
    made = add(blobs, tmp_path, table(HOURS, load=list(range(20)), split=marks))
    assert {name: len(rows) for name, rows in splits(made.manifest, blobs).items()} == {
        "train": 12, "validation": 4, "test": 4,
    }  # fmt: skip
    for wrong, says in (
        (marks[::-1], "mixes times"),
        (["train", "dev"] * 10, "holds 'dev'"),
        (["test"] * 20, "no tra"),
    ):
        with pytest.raises(Unprocessable, match=says):
            add(blobs, tmp_path, table(HOURS, load=list(range(20)), split=wrong))
