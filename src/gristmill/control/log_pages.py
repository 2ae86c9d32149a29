"""What a process has written into its `log.txt`, a page at a time by byte offset."""

from __future__ import annotations

from contextlib import suppress
from os import SEEK_END
from pathlib import Path
from typing import Any

PAGE_BYTES = 1 << 20  # of one answer
_STEP_BYTES = 1 << 16  # of the way back from a log's end


def log_page(folder: Path, after: int, lines: int | None = None) -> dict[str, Any]:
    """{text, next}: from byte `after` on, or the last `lines` lines; nothing of a process that has not started yet.

    A page ends with a line where there is one to end with: no character is torn between two pages.
    """
    path = folder / "log.txt"
    start = after if lines is None else max(after, _last(path, lines))
    data = read_page(path, start)
    whole = data[: data.rfind(b"\n") + 1] or data
    return {"text": whole.decode(errors="replace"), "next": start + len(whole)}


def read_page(path: Path, after: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(after)
            return file.read(PAGE_BYTES)
    except FileNotFoundError:  # it has not started yet
        return b""


def _last(path: Path, lines: int) -> int:
    """Where the last `lines` whole lines begin."""
    newlines = lines + 1  # the one that ends the last line among them
    with suppress(FileNotFoundError), path.open("rb") as file:
        start = file.seek(0, SEEK_END)
        while start > 0:
            step = min(_STEP_BYTES, start)
            start = file.seek(start - step)
            found = data = file.read(step)
            while (end := found.rfind(b"\n")) >= 0:
                newlines -= 1
                if not newlines:
                    return start + end + 1
                found = data[:end]
    return 0
