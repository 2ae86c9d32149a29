"""What a model writes is an answer, or thought, or a call of a tool: told apart by the marks around them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from gristmill.serving.worker.generation.stop_strings import held_back


class Kind(StrEnum):
    answer = "answer"
    reasoning = "reasoning"
    tool_call = "tool_call"


class Piece(NamedTuple):
    kind: Kind
    text: str
    closed: bool = False  # the closing mark follows


MARKS: Mapping[Kind, tuple[str, str]] = {
    Kind.reasoning: ("<think>", "</think>"),
    Kind.tool_call: ("<tool_call>", "</tool_call>"),
}


class Segments:
    """Text in as it comes, pieces out; a mark that is not whole yet is held back."""

    def __init__(self, kinds: frozenset[Kind], inside: Kind = Kind.answer) -> None:
        self._kinds = kinds
        self.kind = inside
        self._held = ""

    def add(self, text: str) -> list[Piece]:
        self._held += text
        pieces = []
        while (piece := self._next()) is not None:
            pieces.append(piece)
        return [piece for piece in pieces if piece.text or piece.closed]

    def _next(self) -> Piece | None:
        """Up to the next mark, or what cannot be part of one."""
        marks = self._marks()
        found = min(((place, mark) for mark in marks if (place := self._held.find(mark)) >= 0), default=None)
        kind = self.kind
        if found is not None:
            place, mark = found
            text, self._held = self._held[:place], self._held[place + len(mark) :]
            self.kind = marks[mark]
            return Piece(kind, text, closed=kind is not Kind.answer)
        keep = max((held_back(self._held, mark) for mark in marks), default=0)
        text, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return Piece(kind, text) if text else None

    def _marks(self) -> dict[str, Kind]:
        """By mark, the kind that begins behind it."""
        if self.kind is Kind.answer:
            return {MARKS[kind][0]: kind for kind in self._kinds}
        return {MARKS[self.kind][1]: Kind.answer}

    def end(self) -> list[Piece]:
        """The rest, when the answer ends."""
        rest, self._held = self._held, ""
        return [Piece(self.kind, rest)] if rest else []
