"""Continuous batching over any causal language model of Transformers: each step one forward pass for all that wait."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from gristmill.bundles.manifest import Manifest
from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.core.types import Resources
from gristmill.frameworks.drafts import NONE, Draft, Drafts
from gristmill.frameworks.generation import Emission, Job
from gristmill.frameworks.huge_pages import use_huge_pages
from gristmill.frameworks.on_torch.adapter_stack import Lora
from gristmill.frameworks.sampling import log_softmax
from gristmill.frameworks.sequences import OpenSequence, common
from gristmill.frameworks.transformers.adapters import Adapters
from gristmill.frameworks.transformers.causal import load_causal
from gristmill.frameworks.transformers.packed import pack
from gristmill.frameworks.transformers.proof import Proof
from gristmill.frameworks.transformers.rewriting import rewritten
from gristmill.frameworks.transformers.rows import Rows
from gristmill.frameworks.transformers.step import NAME, OWN_ATTENTION, Piece, Run, Step, attention

_ROWS = 32
_PIECE_TOKENS = 256  # of prompts in one step: what streams wait for at most
_FIRST_TOKENS = 256  # that a row holds at first
_TIMED_TOKENS = 40
_SHORTEST_REUSE = 8  # tokens of a common beginning; fewer are sooner computed than copied


class _Row(NamedTuple):
    """What an ended sequence left: tokens that were computed, and with which adapter."""

    tokens: list[int]
    lora: Lora | None


class _Open(OpenSequence):
    def __init__(self, job: Job, lora: Lora | None) -> None:
        super().__init__(job)
        self.lora = lora

    @property
    def row(self) -> _Row:
        return _Row(self.tokens[: self.computed], self.lora)


class TransformersGenerator:
    """See frameworks/generation.Generator.

    Rows 0 to n - 1 are under way, so that their keys are one view. Behind them stand rows of ended sequences, the
    latest first: a prompt that begins as one of them, with the same adapter, is computed from there on. (Batches that
    change at every step: Yu et al., OSDI 2022, "Orca"; reuse of beginnings: Zheng et al., NeurIPS 2024, "SGLang",
    without its tree.)
    """

    def __init__(self, model: Any, context_length: int, memory_bytes: int) -> None:
        """`memory_bytes` for keys and values. Raises Unprocessable when the model's attention cannot be replaced."""
        self.context_length = context_length
        proof = Proof(model, context_length)
        self._model = with_rows(model)
        parameter = next(model.parameters())
        self._device = parameter.device
        self._rows = Rows(_ROWS, memory_bytes, parameter.dtype, self._device)
        self._waiting: deque[_Open] = deque()
        self._active: list[_Open] = []
        self._ended: list[_Row] = []  # behind the active ones
        self._logits([0], [0], Step(self._rows, (), (Piece(0, 0, 1),)), [0])
        if not self._rows.bytes_a_token:
            raise Unprocessable(OWN_ATTENTION, field="architectures")
        self._model = pack(rewritten(self._model))
        proof.check(self._logits, self._rows)
        self._adapters = Adapters(self._model)
        self._drafts = Drafts(self._step_tokens())
        self._rows.reserve(_FIRST_TOKENS, 0)

    @classmethod
    def load(cls, bundle: Path, manifest: Manifest, resources: Resources) -> TransformersGenerator:
        torch.set_num_threads(max(1, int(resources.cores)))
        device = torch.device("cuda" if resources.gpus > 0 and torch.cuda.is_available() else "cpu")
        language = manifest.signature.language
        if language is None:
            raise CorruptBundle("The bundle's signature does not say the model's context length.", file="manifest.json")
        model = load_causal(bundle / "weights").to(device)
        made = cls(model, language.context_length, resources.memory_bytes // 2)
        if device.type == "cpu":
            use_huge_pages()
        return made

    @property
    def busy(self) -> bool:
        return bool(self._active or self._waiting)

    def submit(self, job: Job) -> None:
        self._waiting.append(_Open(job, None if job.adapter is None else self._adapters.find(job.adapter)))

    @torch.inference_mode()
    def cancel(self, id: int) -> None:
        self._waiting = deque(one for one in self._waiting if one.job.id != id)
        for place, one in enumerate(self._active):
            if one.job.id == id:
                self._leave(place)
                return

    @torch.inference_mode()
    def step(self) -> list[Emission]:
        self._make_room()
        decoding = self._decoding_first()
        emitted = self._compute(decoding, self._pieces(len(decoding)))
        for place in reversed(range(len(self._active))):
            if self._active[place].finished:
                self._leave(place)
        return emitted

    # Rows

    def _make_room(self) -> None:
        """Admit what waits, in its order, while the memory holds the rows; send back the youngest when it does not."""
        while self._waiting and len(self._active) < self._fitting(self._waiting[0]):
            self._enter(self._waiting.popleft())
        while len(self._active) > self._fitting():
            youngest = self._active.pop()
            youngest.start_again()
            self._ended.clear()
            self._waiting.appendleft(youngest)
        self._ended = self._ended[: self._fitting() - len(self._active)]
        longest = max((len(one.tokens) for one in self._active), default=1)
        self._rows.reserve(longest, len(self._active) + len(self._ended))

    def _fitting(self, *more: _Open) -> int:
        return self._rows.fitting(max((len(one.tokens) for one in (*self._active, *more)), default=1))

    def _enter(self, one: _Open) -> None:
        """Give it the row behind the active ones, with what an earlier prompt left there that fits."""
        source, shared = self._longest_beginning(one)
        row, ended = len(self._active), len(self._ended)
        if ended:  # its first stands in that row: it moves behind the last, or takes the place of the last
            free = row + ended if row + ended < self._rows.count else row + ended - 1
            if shared and source == free:
                self._rows.swap(row, free, max(len(self._ended[0].tokens), shared))
                source = row
            else:
                self._rows.copy(row, free, len(self._ended[0].tokens))
            self._ended = [*self._ended[1 : free - row], self._ended[0]] if free > row else []
        if shared:
            self._rows.copy(source, row, shared)
            one.begin_at(shared)
        self._drafts.remember(one.tokens, shared)
        self._active.append(one)

    def _longest_beginning(self, wanted: _Open) -> tuple[int, int]:
        """The row that shares the most tokens with the beginning, and how many; the last token is always computed."""
        held = [*(one.row for one in self._active), *self._ended]
        shared, row = max(
            ((common(one.tokens, wanted.tokens), row) for row, one in enumerate(held) if one.lora is wanted.lora),
            default=(0, 0),
        )
        shared = min(shared, len(wanted.tokens) - 1)
        return (row, shared) if shared >= _SHORTEST_REUSE else (0, 0)

    def _decoding_first(self) -> list[_Open]:
        """Bring the sequences that decode into the first rows."""
        decoding = [one for one in self._active if one.decoding]
        for place, one in enumerate(decoding):
            now = self._active.index(one)
            if now != place:
                self._rows.swap(now, place, max(one.computed, self._active[place].computed))
                self._active[now], self._active[place] = self._active[place], one
        return decoding

    def _leave(self, place: int) -> None:
        """Its row goes behind the active ones, where its beginning is found again."""
        last = len(self._active) - 1
        one, other = self._active[place], self._active[last]
        self._rows.swap(place, last, max(one.computed, other.computed))
        self._active[place] = other
        self._active.pop()
        self._ended.insert(0, one.row)

    # Computing

    def _pieces(self, first: int) -> list[Piece]:
        room, pieces = _PIECE_TOKENS, []
        for row, one in enumerate(self._active[first:], first):
            tokens = min(room, one.prompt - one.computed)
            if tokens:
                pieces.append(Piece(row, one.computed, tokens))
                room -= tokens
        return pieces

    def _compute(self, decoding: list[_Open], pieces: list[Piece]) -> list[Emission]:
        """One forward pass; a token or more for each that decodes, one for each whose prompt is whole now."""
        drafts = self._drafts.guess([(one.tokens, self._most_guesses(one)) for one in decoding])
        tokens: list[int] = []
        positions: list[int] = []
        owners: list[tuple[Lora | None, int]] = []
        runs = [Run(one.computed, 1 + len(draft.tokens)) for one, draft in zip(decoding, drafts, strict=True)]
        for one, draft, run in zip(decoding, drafts, runs, strict=True):
            tokens += one.tokens[-1], *draft.tokens
            positions += range(run.held, run.held + run.tokens)
            owners += [(one.lora, 1)] * run.tokens
        wanted, whole = list(range(len(tokens))), []
        for piece in pieces:
            one = self._active[piece.row]
            tokens += one.tokens[piece.start : piece.stop]
            positions += range(piece.start, piece.stop)
            owners.append((one.lora, piece.tokens))
            if piece.stop == one.prompt:
                wanted.append(len(tokens) - 1)
                whole.append(one)
        self._adapters.lay(owners)
        logits = self._logits(tokens, positions, Step(self._rows, runs, pieces), wanted or [0])
        for piece in pieces:
            self._active[piece.row].computed = piece.stop
        drawing = [*zip(decoding, drafts, strict=True), *((one, NONE) for one in whole)]
        return [emission for one, draft, rows in _split(drawing, logits) for emission in self._take(one, draft, rows)]

    def _most_guesses(self, one: _Open) -> int:
        left = min(one.job.max_tokens - one.generated - 1, self._rows.capacity - len(one.tokens))
        return left if one.job.drafts else 0

    def _take(self, one: _Open, draft: Draft, logits: np.ndarray) -> list[Emission]:
        known = len(one.tokens)
        emitted = one.take_all(logits, draft.tokens)
        one.computed = len(one.tokens) - 1
        self._drafts.learn(draft, len(emitted) - 1)
        self._drafts.remember(one.tokens, known)
        return emitted

    @torch.inference_mode()
    def _logits(self, tokens: list[int], positions: list[int], step: Step, wanted: list[int]) -> np.ndarray:
        """float32 [wanted, vocabulary]: after the tokens at the places `wanted`."""
        ids, places, kept = (torch.tensor(values, device=self._device) for values in (tokens, positions, wanted))
        output = self._model(
            input_ids=ids[None], position_ids=places[None], use_cache=False, logits_to_keep=kept, step=step
        )
        result: np.ndarray = output.logits[0].float().cpu().numpy()
        return result

    def _step_tokens(self) -> float:
        """As how many tokens more in it a step costs; measured."""
        many = min(_TIMED_TOKENS, self.context_length, self._rows.capacity)
        few = max(1, many // 5)
        short, long = (min(self._seconds(tokens) for _ in range(3)) for tokens in (few, many))
        return max(0.0, short * (many - few) / max(long - short, 1e-9) - few)

    def _seconds(self, tokens: int) -> float:
        """Of one step."""
        started = time.perf_counter()
        self._logits([0] * tokens, list(range(tokens)), Step(self._rows, (), (Piece(0, 0, tokens),)), [0])
        return time.perf_counter() - started

    def score(self, tokens: Sequence[int], adapter: str | None = None) -> np.ndarray:
        lora = None if adapter is None else self._adapters.find(adapter)
        self._ended.clear()
        self._rows.reserve(len(tokens), 0)
        found = []
        for start in range(0, len(tokens) - 1, _PIECE_TOKENS):
            piece = Piece(0, start, min(_PIECE_TOKENS, len(tokens) - start))
            places = list(range(piece.tokens))
            self._adapters.lay([(lora, piece.tokens)])
            logits = self._logits(list(tokens[start : piece.stop]), list(range(start, piece.stop)),
                                  Step(self._rows, (), (piece,)), places)  # fmt: skip
            following = tokens[start + 1 : piece.stop + 1]
            found += [log_softmax(row)[token] for row, token in zip(logits, following, strict=False)]
        return np.asarray(found, np.float64)

    # Adapters

    def load_adapter(self, name: str, folder: Path) -> None:
        self._adapters.load(name, folder)

    def unload_adapter(self, name: str) -> None:
        gone = self._adapters.unload(name)
        self._ended = [_Row([], None) if row.lora is gone is not None else row for row in self._ended]

    def close(self) -> None:
        del self._model


def _split(drawing: list[tuple[_Open, Draft]], logits: np.ndarray) -> Iterator[tuple[_Open, Draft, np.ndarray]]:
    """Each with its own rows of the logits: one more than it has guesses."""
    at = 0
    for one, draft in drawing:
        own = slice(at, at + 1 + len(draft.tokens))
        yield one, draft, logits[own]
        at = own.stop


def with_rows(model: Any) -> Any:
    """The model with attention over rows. Raises Unprocessable where it does not go through Transformers' register."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attention)
    try:
        model.set_attn_implementation(NAME)
    except ValueError as error:
        raise Unprocessable(OWN_ATTENTION, field="architectures") from error
    return model.eval()
