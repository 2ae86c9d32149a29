"""Continuous batching over llama.cpp: one call a step for all sequences, in one cache of keys and values."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from gristmill.bundles.manifest import Manifest
from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.core.types import Resources
from gristmill.frameworks.generation import Emission, Job
from gristmill.frameworks.gguf import GGUF
from gristmill.frameworks.llama_cpp.context import Context, Model, Token
from gristmill.frameworks.sampling import Drawn, draw_all
from gristmill.frameworks.sequences import OpenSequence, common

_SEQUENCES = 32  # at once
_ENDED = 32  # kept for prompts that begin alike
_PIECE_TOKENS = 256  # of prompts in one step: what streams wait for at most


class _Held(NamedTuple):
    """What the cache holds of one sequence."""

    number: int
    tokens: list[int]
    adapter: str | None


class LlamaCppGenerator:
    """See frameworks/generation.Generator.

    A sequence's cells are freed when it is cancelled; those of one that ended stay while there is room, for prompts
    that begin alike.
    """

    def __init__(self, model: Model, context_length: int, memory_bytes: int, threads: int) -> None:
        """`memory_bytes` for keys and values."""
        self.context_length = context_length
        self._model = model
        most = _SEQUENCES * context_length
        self._cells = max(context_length, min(most, memory_bytes // max(1, model.bytes_a_token)))
        self._context = Context(model, self._cells, _SEQUENCES + _ENDED, threads)
        self._waiting: deque[OpenSequence] = deque()
        self._active: dict[int, OpenSequence] = {}  # by its number in the cache
        self._ended: deque[_Held] = deque()  # the latest first
        self._free = list(range(_SEQUENCES + _ENDED))
        self._adapters: dict[str, Any] = {}

    @classmethod
    def load(cls, bundle: Path, manifest: Manifest, resources: Resources) -> LlamaCppGenerator:
        path, language = bundle / "weights" / GGUF, manifest.signature.language
        if language is None:
            raise CorruptBundle("The bundle's signature does not say the model's context length.", file="manifest.json")
        if not path.is_file():
            raise Unprocessable(f"llama.cpp opens GGUF files, and {manifest.name} has none: deploy it with another "
                                "runtime, or import its .gguf file.", field="runtime")  # fmt: skip
        model = Model(path)
        if model.vocabulary != language.vocabulary:
            raise CorruptBundle("The weights have another vocabulary than the signature says.", file="manifest.json")
        return cls(model, language.context_length, resources.memory_bytes // 2, max(1, int(resources.cores)))

    @property
    def busy(self) -> bool:
        return bool(self._active or self._waiting)

    def submit(self, job: Job) -> None:
        if job.adapter is not None and job.adapter not in self._adapters:
            raise Unprocessable(f"There is no adapter {job.adapter!r} on this model.", field="model")
        self._waiting.append(OpenSequence(job))

    def cancel(self, id: int) -> None:
        self._waiting = deque(one for one in self._waiting if one.job.id != id)
        for number, one in list(self._active.items()):
            if one.job.id == id:
                del self._active[number]
                self._release(number)

    def step(self) -> list[Emission]:
        self._admit()
        emitted = [one.take(drawn) for one, drawn in self._compute(self._tokens())]
        for number, one in list(self._active.items()):
            if one.finished:
                del self._active[number]
                self._keep(_Held(number, one.tokens[: one.computed], one.job.adapter))
        return emitted

    # The cache

    def _admit(self) -> None:
        """Let in what waits, in its order, while there are cells; send back the youngest when there are too few."""
        while self._waiting and len(self._active) < _SEQUENCES and self._fits(self._waiting[0]):
            self._enter(self._waiting.popleft())
        while not self._fits():
            number, youngest = self._active.popitem()
            youngest.start_again()
            self._release(number)
            self._waiting.appendleft(youngest)

    def _fits(self, *more: OpenSequence) -> bool:
        """Whether all have room for their next token, without what is kept of ended ones if need be."""
        needed = sum(len(one.tokens) + 1 for one in (*self._active.values(), *more))
        while self._ended and needed + sum(len(held.tokens) for held in self._ended) > self._cells:
            self._release(self._ended.pop().number)
        return needed <= self._cells or len(self._active) + len(more) == 1

    def _enter(self, one: OpenSequence) -> None:
        number = heapq.heappop(self._free)
        source, shared = self._longest_beginning(one)
        if shared:
            self._context.share(source, number, shared)
            one.begin_at(shared)
        self._active[number] = one

    def _longest_beginning(self, one: OpenSequence) -> tuple[int, int]:
        """The sequence that shares the most tokens with the beginning, and how many; the last is always computed."""
        if self._model.forgets:
            return 0, 0
        held = [_Held(number, other.tokens[: other.computed], other.job.adapter)
                for number, other in self._active.items()]  # fmt: skip
        fitting = (other for other in (*held, *self._ended) if other.adapter == one.job.adapter)
        shared, source = max(((common(other.tokens, one.tokens), other.number) for other in fitting), default=(0, 0))
        return source, min(shared, len(one.tokens) - 1)

    def _keep(self, held: _Held) -> None:
        self._ended.appendleft(held)
        if len(self._ended) > _ENDED:
            self._release(self._ended.pop().number)

    def _release(self, number: int) -> None:
        self._context.forget(number)
        heapq.heappush(self._free, number)

    # Computing

    def _tokens(self) -> list[tuple[int, range]]:
        """Of which sequences which tokens are computed now: one of each that decodes, pieces of the others' prompts."""
        room, chosen = _PIECE_TOKENS, []
        for number, one in self._active.items():
            tokens = 1 if one.decoding else min(room, one.prompt - one.computed)
            room -= 0 if one.decoding else tokens
            if tokens:
                chosen.append((number, range(one.computed, one.computed + tokens)))
        return chosen

    def _compute(self, chosen: list[tuple[int, range]]) -> Iterable[tuple[OpenSequence, Drawn]]:
        """A call for each adapter that has sequences; a token for each whose prompt is whole now."""
        drawn: list[tuple[OpenSequence, Drawn]] = []
        by_adapter = sorted(chosen, key=lambda one: self._active[one[0]].job.adapter or "")
        for adapter, group in groupby(by_adapter, key=lambda one: self._active[one[0]].job.adapter):
            if self._adapters:
                self._context.adapt(self._adapters.get(adapter or ""))
            drawn += self._compute_alike(list(group))
        return drawn

    def _compute_alike(self, group: Sequence[tuple[int, range]]) -> Iterable[tuple[OpenSequence, Drawn]]:
        tokens, drawing = [], []
        for number, places in group:
            one = self._active[number]
            whole = places.stop >= one.prompt
            tokens += [Token(one.tokens[at], at, number, whole and at == places.stop - 1) for at in places]
            one.computed = places.stop
            if whole:
                drawing.append(one)
        logits = self._context.compute(tokens)
        return zip(drawing, draw_all(logits, [one.sampler for one in drawing]), strict=True)

    # Adapters

    def load_adapter(self, name: str, folder: Path) -> None:
        raise Unprocessable("Adapters are not loaded by this engine.", field="adapter")

    def unload_adapter(self, name: str) -> None:
        raise Unprocessable(f"There is no adapter {name!r} on this model.", field="adapter")

    def close(self) -> None:
        self._context.close()
        self._model.close()
