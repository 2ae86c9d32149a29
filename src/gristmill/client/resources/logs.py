"""What a process writes, read on from where it was: a page after the other by byte offset."""

from __future__ import annotations

from gristmill.client.calls import Call, Steps

FOLLOW_S = 0.5  # between two looks at a log that is followed


class Log:
    """`path`: of the process's log in the control API; from its start on, or from its last `lines` lines."""

    def __init__(self, path: str, lines: int | None = None) -> None:
        self._path, self._lines, self._after = path, lines, 0
        self.ended = False  # nothing comes after what was read

    def more(self) -> Steps[str]:
        """All that was written since the last time."""
        pages: list[str] = []
        while True:
            params = {"after": self._after, "lines": self._lines}
            page = (yield Call("GET", self._path, params=params)).document()
            self._after, self._lines, self.ended = page["next"], None, page["ended"]
            if not page["text"]:
                return "".join(pages)
            pages.append(page["text"])
