"""One of a request's choices: a sequence's tokens becoming text, thought, calls of tools, and an end."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gristmill.core.generation import Delta, Finish, TokenLogprob, ToolCallDelta
from gristmill.frameworks.generation import Emission
from gristmill.serving.worker.generation.segments import MARKS, Kind, Piece, Segments
from gristmill.serving.worker.generation.stop_strings import StopStrings
from gristmill.serving.worker.generation.tool_calls import read_call
from gristmill.tasks.language.tokenizer import LanguageTokenizer


class Choice:
    def __init__(
        self,
        place: tuple[int, int],
        tokenizer: LanguageTokenizer,
        ends: frozenset[int],
        stop: StopStrings,
        segments: Segments,
        echoed: Sequence[int] = (),
    ) -> None:
        """`place`: the request's number and the choice's. `echoed`: the prompt, which comes again before the answer."""
        self.request, self.index = place
        self.tokens = -max(0, len(echoed) - 1)  # below 0 while the prompt comes
        self.reasoning_tokens = 0
        self.finish: Finish | None = None
        self._tokenizer, self._ends = tokenizer, ends
        self._text = tokenizer.stream()
        self._stop, self._segments = stop, segments
        self._call = ""  # of a tool, as far as it is written
        self._calls = 0
        self._unsent = 0  # tokens that no delta stands for yet
        self._first = echoed[0] if echoed else None

    def add(self, emission: Emission) -> Delta | None:
        """What the token adds; None while all of it is held back."""
        self.tokens += 1
        if self.tokens <= 0:
            return self._echo(emission)
        self._unsent += 1
        self.reasoning_tokens += self._segments.kind is Kind.reasoning
        ended = emission.token in self._ends
        text = "" if ended else self._text.add(emission.token)
        if ended or emission.finished:
            text += self._text.end()
        text = self._stop.add(text)
        pieces = self._segments.add(text) if text else []
        if ended or emission.finished or self._stop.hit:
            pieces += self._segments.add(self._stop.end()) + self._segments.end()
            self.finish = Finish.stop if ended or self._stop.hit else Finish.length
        return self._delta(pieces, self._logprobs(emission))

    def _echo(self, emission: Emission) -> Delta:
        """A token of the prompt; before its second, which is the first that follows something, the first."""
        text, told = "", self._logprobs(emission)
        if self._first is not None:
            text = self._text.add(self._first)
            told = (self._told(self._first, math.nan), *told)
            self._first = None
        text += self._text.add(emission.token)
        if emission.finished:
            text += self._text.end()
            self.finish = Finish.length
        return Delta(self.request, self.index, text, 0, logprobs=told, finish=self.finish)

    def _logprobs(self, emission: Emission) -> tuple[TokenLogprob, ...]:
        if emission.logprob is None:
            return ()
        top = tuple(self._told(token, logprob) for token, logprob in emission.top)
        told = self._told(emission.token, emission.logprob)
        return (TokenLogprob(told.token, told.logprob, told.data, top, told.id),)

    def _told(self, token: int, logprob: float) -> TokenLogprob:
        text, data = self._tokenizer.token(token)
        return TokenLogprob(text, logprob, data, id=token)

    def _delta(self, pieces: list[Piece], logprobs: tuple[TokenLogprob, ...]) -> Delta | None:
        text, reasoning, calls = "", "", []
        for piece in pieces:
            if piece.kind is Kind.answer:
                text += piece.text
            elif piece.kind is Kind.reasoning:
                reasoning += piece.text
            else:
                more, said = self._tool(piece)
                calls += more
                text += said
        if self.finish is not None and self._call:  # it ended in the middle of a call
            text += MARKS[Kind.tool_call][0] + self._call
            self._call = ""
        if self.finish is Finish.stop and self._calls:
            self.finish = Finish.tool_calls
        if not (text or reasoning or calls or logprobs or self.finish):
            return None
        unsent, self._unsent = self._unsent, 0
        return Delta(self.request, self.index, text, unsent, reasoning, logprobs, tuple(calls), self.finish)

    def _tool(self, piece: Piece) -> tuple[list[ToolCallDelta], str]:
        """A call once it is whole; what is no call stays text."""
        self._call += piece.text
        if not piece.closed:
            return [], ""
        written, self._call = self._call, ""
        deltas = read_call(written, self._calls)
        if deltas is None:
            opening, closing = MARKS[Kind.tool_call]
            return [], f"{opening}{written}{closing}"
        self._calls += 1
        return list(deltas), ""
