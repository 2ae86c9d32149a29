"""Continuous batching over llama.cpp: one call a step for all sequences under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import ClassVar

import numpy as np

from gristmill.bundles.manifest import Manifest
from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.core.types import Resources
from gristmill.frameworks.generation import Emission, Job
from gristmill.frameworks.gguf import GGUF
from gristmill.frameworks.llama_cpp.adapters import Lora, load_lora
from gristmill.frameworks.llama_cpp.context import Form, Model, Token
from gristmill.frameworks.llama_cpp.slots import Slots
from gristmill.frameworks.sampling import Drawn, draw_all, log_softmax
from gristmill.frameworks.sequences import OpenSequence

_PIECE_TOKENS = 512  # of prompts in one step: what streams wait for at most
_SCORED_TOKENS = 256  # in one call, each with logits of the whole vocabulary
_SCORED = 0  # the slot that given texts are scored in


class _Open(OpenSequence):
    def __init__(self, job: Job, lora: Lora | None) -> None:
        super().__init__(job)
        self.lora = lora


class LlamaCppGenerator:
    """See frameworks/generation.Generator. The weights are computed with as the file has them."""

    form: ClassVar[Form | None] = None

    def __init__(self, model: Model, context_length: int, memory_bytes: int, threads: int) -> None:
        """`memory_bytes` for keys and values."""
        self.context_length = context_length
        self._model = model
        self._slots = Slots(model, context_length, memory_bytes, threads)
        self._waiting: deque[_Open] = deque()
        self._active: dict[int, _Open] = {}  # by slot, the latest last
        self._adapters: dict[str, Lora] = {}

    @classmethod
    def load(cls, bundle: Path, manifest: Manifest, resources: Resources) -> LlamaCppGenerator:
        path, language = bundle / "weights" / GGUF, manifest.signature.language
        if language is None:
            raise CorruptBundle("The bundle's signature does not say the model's context length.", file="manifest.json")
        if not path.is_file():
            raise Unprocessable(f"llama.cpp opens GGUF files, and {manifest.name} has none: deploy it with another "
                                "runtime, or import its .gguf file.", field="runtime")  # fmt: skip
        threads = max(1, int(resources.cores))
        model = Model(path, cls.form, threads)
        if model.vocabulary != language.vocabulary:
            raise CorruptBundle("The weights have another vocabulary than the signature says.", file="manifest.json")
        left = max(0, resources.memory_bytes - model.bytes)
        return cls(model, language.context_length, left // 2, threads)

    @property
    def busy(self) -> bool:
        return bool(self._active or self._waiting)

    def submit(self, job: Job) -> None:
        if job.adapter is not None and job.adapter not in self._adapters:
            raise Unprocessable(f"There is no adapter {job.adapter!r} on this model.", field="model")
        self._waiting.append(_Open(job, None if job.adapter is None else self._adapters[job.adapter]))

    def cancel(self, id: int) -> None:
        self._waiting = deque(one for one in self._waiting if one.job.id != id)
        for place, one in list(self._active.items()):
            if one.job.id == id:
                self._leave(place)

    def step(self) -> list[Emission]:
        self._make_room()
        emitted = [one.take(drawn) for one, drawn in self._compute(self._chosen())]
        for place, one in list(self._active.items()):
            if one.finished:
                self._leave(place)
        return emitted

    # Slots

    def _make_room(self) -> None:
        """Make slots as long as the longest sequence needs, and admit what waits, in its order, while there are any."""
        while self._waiting:
            longest = self._longest(self._waiting[0])
            if len(self._active) >= self._slots.fitting(longest):
                break
            if self._slots.reserve(longest):
                self._send_back()
            one = self._waiting.popleft()
            place, shared = self._slots.take(one.tokens, one.lora)
            one.begin_at(shared)
            self._active[place] = one
        if self._slots.reserve(self._longest()):
            self._send_back()
            self._make_room()

    def _longest(self, *more: _Open) -> int:
        return max((len(one.tokens) for one in (*self._active.values(), *more)), default=1)

    def _send_back(self) -> None:
        """All that was computed is lost: the sequences wait for new slots, before those that wait already."""
        for one in reversed(self._active.values()):
            one.start_again()
            self._waiting.appendleft(one)
        self._active.clear()

    def _leave(self, place: int) -> None:
        one = self._active.pop(place)
        self._slots.leave(place, one.tokens[: one.computed])

    # Computing

    def _chosen(self) -> list[tuple[int, range]]:
        """Of which slots which tokens are computed now: one of each that decodes, pieces of the others' prompts."""
        room, chosen = _PIECE_TOKENS, []
        for place, one in self._active.items():
            tokens = 1 if one.decoding else min(room, one.prompt - one.computed)
            room -= 0 if one.decoding else tokens
            if tokens:
                chosen.append((place, range(one.computed, one.computed + tokens)))
        return chosen

    def _compute(self, chosen: list[tuple[int, range]]) -> Iterable[tuple[_Open, Drawn]]:
        """A call for each adapter that has sequences; a token for each whose prompt is whole now."""
        drawn: list[tuple[_Open, Drawn]] = []
        chosen.sort(key=lambda one: (id(self._active[one[0]].lora), one[0]))
        for lora, group in groupby(chosen, key=lambda one: self._active[one[0]].lora):
            self._slots.context.adapt(lora)
            drawn += self._compute_alike(list(group))
        return drawn

    def _compute_alike(self, group: Sequence[tuple[int, range]]) -> Iterable[tuple[_Open, Drawn]]:
        tokens, drawing = [], []
        for place, at in group:
            one = self._active[place]
            whole = at.stop >= one.prompt
            tokens += [Token(one.tokens[position], position, place, whole and position == at[-1]) for position in at]
            one.computed = at.stop
            if whole:
                drawing.append(one)
        fillers = self._slots.between(place for place, _ in group)
        logits = self._slots.context.compute([*tokens, *fillers])
        for filler in fillers:
            self._slots.context.cut(filler.sequence, filler.position)
        return zip(drawing, draw_all(logits, [one.sampler for one in drawing]), strict=True)

    def score(self, tokens: Sequence[int], adapter: str | None = None) -> np.ndarray:
        self._slots.reserve(len(tokens))
        self._slots.empty(_SCORED)
        self._slots.context.adapt(None if adapter is None else self._adapters[adapter])
        found = []
        for start in range(0, len(tokens) - 1, _SCORED_TOKENS):
            piece = tokens[start : start + _SCORED_TOKENS]
            logits = self._slots.context.compute([Token(token, start + at, _SCORED, True)
                                                  for at, token in enumerate(piece)])  # fmt: skip
            following = tokens[start + 1 : start + len(piece) + 1]
            found += [log_softmax(row)[token] for row, token in zip(logits, following, strict=False)]
        self._slots.context.cut(_SCORED, 0)
        return np.asarray(found, np.float64)

    # Adapters

    def load_adapter(self, name: str, folder: Path) -> None:
        self._adapters[name] = load_lora(self._model.pointer, self._model.path, folder)

    def unload_adapter(self, name: str) -> None:
        gone = self._adapters.pop(name, None)
        if gone is not None:
            self._slots.forget(gone)

    def close(self) -> None:
        for held in (self._adapters, self._waiting, self._active):
            held.clear()
        self._slots.close()
        self._model.close()


class LlamaCppInBfloat16(LlamaCppGenerator):
    """The weights in bfloat16: for a machine that computes in it sooner than in the file's own types."""

    form = Form.bfloat16


class LlamaCppInEightBits(LlamaCppGenerator):
    """The weights in blocks of 8-bit numbers (Q8_0), for which llama.cpp has its fastest code."""

    form = Form.eight_bits
