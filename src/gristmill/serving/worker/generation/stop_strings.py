"""Where an answer ends because the caller said so; nothing of a stop string is ever sent."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Text in as it comes, text out as soon as no stop string can begin in it."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.hit = False

    def add(self, text: str) -> str:
        """What may be sent now; `hit` once a stop string came."""
        if not self._stops:
            return text
        self._held += text
        found = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if found:
            self.hit = True
            sent, self._held = self._held[: min(found)], ""
            return sent
        keep = max(held_back(self._held, stop) for stop in self._stops)
        sent, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return sent

    def end(self) -> str:
        """The rest, when the answer ends by itself."""
        rest, self._held = self._held, ""
        return rest


def held_back(text: str, marker: str) -> int:
    """Length of the longest end of `text` that `marker` begins with, short of all of it."""
    for size in range(min(len(text), len(marker) - 1), 0, -1):
        if text.endswith(marker[:size]):
            return size
    return 0
