from pathlib import Path

import pyarrow.csv

from tests.running import Load, Platform, eventually


def test_kill_9_of_the_gateway_leaves_every_answered_request_in_the_books_exactly_once(
    wine_platform: Platform, wine_rows: list[list[float]], tmp_path: Path
) -> None:
    with Load(wine_platform, "wine", wine_rows, clients=16) as load:
        for _ in range(3):
            before = len(load.answered)
            eventually(lambda before=before: len(load.answered) > before + 100, 20, "no answers")
            (folder,) = wine_platform.folders("gateways")
            wine_platform.kill(folder)
    assert load.broken > 0  # it did die under load
    assert load.failures == []
    answered = load.answered
    assert len(set(answered)) == len(answered)
    eventually(lambda: set(answered) <= set(booked(wine_platform, tmp_path)), 30, "answered requests are missing")
    ids = booked(wine_platform, tmp_path)
    assert len(set(ids)) == len(ids)
    assert wine_platform.json("books", "check")["problems"] == []


def booked(running: Platform, folder: Path) -> list[str]:
    file = folder / "usage.csv"
    running.cli("books", "export", "--table", "usage", "--format", "csv", "--output", str(file))
    return [str(value) for value in pyarrow.csv.read_csv(file)["id"]]
