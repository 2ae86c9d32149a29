"""Readers of running text: plain files and folders of them, chats and texts by line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.data.splits import NAMES

Columns = dict[str, np.ndarray]
SPLIT, TEXT, MESSAGES, DOCUMENT = "split", "text", "messages", "document"
_PASSAGE = 1000  # characters at least, to the end of a line
_RATIOS = (0.9, 0.05, 0.05)


def is_running_text(source: Path) -> bool:
    """A `.txt`, a folder of them, or JSON lines (whose messages are nested, which no table is)."""
    if source.is_dir():
        return any(_is_plain(path) for path in source.rglob("*"))
    return _is_plain(source) or source.name.removesuffix(".gz").endswith((".jsonl", ".ndjson"))


def read_documents(source: Path, options: Mapping[str, Any]) -> Columns:
    """`text` in passages with the number of their `document`, or each line's `text` or `messages` (as JSON).

    The last passages of each document are held out; of a folder with train/, validation/ or test/ those files are.
    Raises Unprocessable naming the file and the place.
    """
    if source.is_dir() or _is_plain(source):
        return _passages(source, options.get("ratios") or _RATIOS)
    return _lines(source)


def _is_plain(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith(".txt")


def _passages(source: Path, ratios: Sequence[float]) -> Columns:
    paths = [source] if source.is_file() else sorted(path for path in source.rglob("*") if _is_plain(path))
    texts, documents, splits = [], [], []
    for number, path in enumerate(paths):
        passages = list(_cut(_read(path)))
        given = path.relative_to(source).parts[0] if source.is_dir() else ""
        texts += passages
        documents += [number] * len(passages)
        splits += [given] * len(passages) if given in NAMES else _held_out(len(passages), ratios)
    columns = {TEXT: np.asarray(texts, object), DOCUMENT: np.asarray(documents, np.int64)}
    return columns | {SPLIT: np.asarray(splits, object)}


def _read(path: Path) -> str:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unprocessable(f"{path.name} is not UTF-8 text: byte {error.start} is none; convert it first.") from None


def _cut(text: str) -> Iterator[str]:
    passage = ""
    for line in text.splitlines(keepends=True):
        passage += line
        if len(passage) >= _PASSAGE:
            yield passage
            passage = ""
    if passage:
        yield passage


def _held_out(count: int, ratios: Sequence[float]) -> list[str]:
    """In the text's own order, so that no held-out passage stands between two that are trained on."""
    bounds = np.round(np.cumsum(ratios)[:2] * count).astype(int)
    sizes = (max(1, bounds[0]), bounds[1] - bounds[0], count - bounds[1])
    return [name for name, size in zip(NAMES, sizes, strict=True) for _ in range(size)][:count]


def _lines(source: Path) -> Columns:
    data = gzip.decompress(source.read_bytes()) if source.suffix == ".gz" else source.read_bytes()
    found: dict[str, list[str]] = {TEXT: [], MESSAGES: []}
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        name, value = _line(source.name, number, line)
        found[name].append(value)
    if found[TEXT] and found[MESSAGES]:
        raise Unprocessable(f"{source.name} mixes lines with text and lines with messages: make two datasets.")
    return {name: np.asarray(values, object) for name, values in found.items() if values}


def _line(file: str, number: int, line: bytes) -> tuple[str, str]:
    place = f"Line {number} of {file}"
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise Unprocessable(f"{place} is not a JSON object.") from None
    if isinstance(row, dict) and isinstance(row.get(TEXT), str):
        return TEXT, row[TEXT]
    messages = row.get(MESSAGES) if isinstance(row, dict) else None
    if not isinstance(messages, list) or not messages:
        raise Unprocessable(f"{place} has neither `text` nor `messages`: a list of objects with role and content.")
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("content"), str) or "role" not in message:
            raise Unprocessable(f"{place} has a message without a role or a content of text.", field=MESSAGES)
    if not any(message["role"] == "assistant" for message in messages):
        raise Unprocessable(f"{place} has no answer: no message is an assistant's.", field=MESSAGES)
    return MESSAGES, json.dumps(messages, ensure_ascii=False)
