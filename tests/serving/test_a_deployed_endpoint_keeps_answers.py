"""From `gristmill deploy --cache` to the books, over REST and gRPC."""

from __future__ import annotations

import csv
import http.client
import json
from pathlib import Path

import pytest

from tests.running import Platform, eventually
from tests.serving.rig import tensor
from tests.serving.rpc import Caller, raw_request


def infer(running: Platform, rows: list[list[float]]) -> tuple[str | None, list[float]]:
    connection = http.client.HTTPConnection("127.0.0.1", running.inference_port, timeout=30)
    headers = {"authorization": f"Bearer {running.key}", "content-type": "application/json"}
    connection.request("POST", "/v2/models/kept/infer", json.dumps(tensor(rows)), headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, body
    return answer.headers["x-gristmill-cache"], json.loads(body)["outputs"][0]["data"]


def requests_by_item(running: Platform, file: Path) -> dict[str, float]:
    running.cli("books", "export", "--table", "postings", "--output", str(file))
    with file.open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["account"] == "units:requests:wine@1"]
    found: dict[str, float] = {}
    for row in rows:
        if row["endpoint"] == "kept":
            found[row["item"]] = found.get(row["item"], 0) + float(row["quantity"])
    return found


def test_an_endpoint_deployed_with_a_cache_computes_once_and_the_books_count_both(
    wine_platform: Platform, wine_rows: list[list[float]], tmp_path: Path
) -> None:
    running = wine_platform
    running.cli("deploy", "wine@1", "--endpoint", "kept", "--cache", "1MB")
    try:
        (first, computed), (second, kept) = infer(running, wine_rows), infer(running, wine_rows)
        assert (first, second) == ("miss", "hit")
        assert computed == kept
        assert running.json("status")["grpc_address"] == f"127.0.0.1:{running.grpc_port}"
        with Caller(running.grpc_port, running.key) as caller:
            told = caller.infer(raw_request(wine_rows, "kept"))
        assert (told.code, told.metadata["x-gristmill-cache"]) == ("OK", "hit")
        assert told.predictions() == pytest.approx(computed)
        counted = {"infer.2xx": 1.0, "infer.cached.2xx": 2.0}
        eventually(lambda: requests_by_item(running, tmp_path / "postings.csv") == counted, 20)
        assert running.json("books", "check")["problems"] == []
    finally:
        running.cli("endpoints", "delete", "kept")


def test_a_size_that_is_none_is_refused_before_anything_is_asked(wine_platform: Platform) -> None:
    ended = wine_platform.cli("deploy", "wine@1", "--cache", "much", check=False)
    assert (ended.returncode, "'much' is not a size" in ended.stderr) == (2, True)
