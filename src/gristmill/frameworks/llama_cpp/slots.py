"""Which sequence's tokens lie where in llama.cpp's cache; slots are longer, and fewer, as sequences get longer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from gristmill.frameworks.llama_cpp.adapters import Lora
from gristmill.frameworks.llama_cpp.context import Context, Model, Token
from gristmill.frameworks.sequences import common

_MOST = 32
_FIRST_CAPACITY = 512
_WORTH_COPYING = 32  # tokens of a common beginning; fewer are sooner computed
_WORTH_FILLING = 6  # unused slots between two used ones: to compute them too is sooner than a call more


class Slot:
    def __init__(self) -> None:
        self.tokens: list[int] = []  # computed
        self.adapter: Lora | None = None
        self.used_at = 0
        self.taken = False


class Slots:
    def __init__(self, model: Model, context_length: int, memory_bytes: int, threads: int) -> None:
        """`memory_bytes` for keys and values; one sequence may take more, up to the context's length."""
        self._model, self._threads, self._longest = model, threads, context_length
        self._cells = memory_bytes // max(1, model.bytes_a_token)
        self.context: Context
        self.slots: list[Slot] = []
        self._time = 0
        self._open(min(max(_FIRST_CAPACITY, self._cells // _MOST), context_length))

    def _open(self, capacity: int) -> None:
        self.capacity = capacity
        count = max(1, min(_MOST, self._cells // capacity))
        self.context = Context(self._model, capacity, count, self._threads)
        self.slots = [Slot() for _ in range(count)]

    def fitting(self, tokens: int) -> int:
        """How many slots there are once each holds so many tokens."""
        return max(1, min(_MOST, self._cells // self._grown(tokens)))

    def _grown(self, tokens: int) -> int:
        capacity = self.capacity
        while capacity < min(tokens, self._longest):
            capacity *= 2
        return min(capacity, self._longest)

    def reserve(self, tokens: int) -> bool:
        """Make every slot hold so many tokens; whether all that they held is lost for it."""
        if tokens <= self.capacity or self.capacity == self._longest:
            return False
        self.context.close()
        self._open(self._grown(tokens))
        return True

    def take(self, tokens: Sequence[int], adapter: Lora | None) -> tuple[int, int]:
        """A free slot, and how many of the tokens it holds already; the last token is always computed."""
        shared = [0 if slot.adapter is not adapter or self._model.forgets else min(common(slot.tokens, tokens),
                  len(tokens) - 1) for slot in self.slots]  # fmt: skip
        free = [place for place, slot in enumerate(self.slots) if not slot.taken]
        chosen = max(free, key=lambda place: (shared[place], -self.slots[place].used_at, -place))
        source = max(range(len(shared)), key=shared.__getitem__)
        if shared[source] >= shared[chosen] + _WORTH_COPYING:
            if shared[chosen]:
                chosen = min(free, key=lambda place: (self.slots[place].used_at, place))
            self.context.copy(source, chosen)
            shared[chosen] = shared[source]
        self.context.cut(chosen, shared[chosen])
        slot = self.slots[chosen]
        slot.tokens, slot.adapter, slot.taken = list(tokens[: shared[chosen]]), adapter, True
        return chosen, shared[chosen]

    def empty(self, place: int) -> None:
        """What a free slot holds is nobody's beginning any more."""
        self.slots[place].tokens, self.slots[place].adapter = [], None
        self.context.cut(place, 0)

    def leave(self, place: int, tokens: list[int]) -> None:
        """The sequence ended; its tokens stay for a prompt that begins alike, with the same adapter."""
        self._time += 1
        slot = self.slots[place]
        slot.tokens, slot.taken, slot.used_at = tokens, False, self._time

    def forget(self, adapter: Lora) -> None:
        """What was computed with it, and is not under way, is nobody's beginning any more."""
        for place, slot in enumerate(self.slots):
            if slot.adapter is adapter and not slot.taken:
                self.empty(place)

    def between(self, used: Iterable[int]) -> list[Token]:
        """Tokens for the few free slots between used ones: a call computes neighbours together."""
        fillers: list[Token] = []
        for one, other in pairwise(sorted(used)):
            gap = self.slots[one + 1 : other]
            if len(gap) <= _WORTH_FILLING and not self._model.forgets and not any(slot.taken for slot in gap):
                fillers += [Token(0, len(slot.tokens), place, False) for place, slot in enumerate(gap, one + 1)
                            if len(slot.tokens) < self.capacity]  # fmt: skip
        return fillers

    def close(self) -> None:
        self.slots.clear()
        self.context.close()
