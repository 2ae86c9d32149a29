from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.cli.arguments import replica_count
from gristmill.cli.predict import read_input

JSON = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_a_file_of_json_is_decoded(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text("[[1, 2.5]]")
    assert read_input(str(file)) == [[1, 2.5]]


def test_an_image_stays_bytes(tmp_path: Path) -> None:
    file = tmp_path / "seven.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    assert read_input(str(file)) == b"\x89PNG\r\n\x1a\n\x00"


def test_words_are_text() -> None:
    assert read_input("a fine wine") == "a fine wine"


def test_a_long_text_is_no_file_name() -> None:
    assert read_input("word " * 2000) == ("word " * 2000).strip()


def test_a_dash_is_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"inputs": [1]}')))
    assert read_input("-") == {"inputs": [1]}


@given(JSON.filter(lambda value: isinstance(value, dict | list)))
def test_inline_json_is_itself(value: object) -> None:

    assert read_input(json.dumps(value)) == value


@pytest.mark.parametrize(("text", "count"), [("1", 1), ("4", 4), ("1..4", "1..4")])
def test_replicas_are_a_number_or_a_range(text: str, count: int | str) -> None:
    assert replica_count(text) == count
