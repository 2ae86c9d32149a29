"""llama.cpp's model and context over its C interface: a batch of tokens of many sequences in, rows of logits out."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import llama_cpp as library
import numpy as np

from gristmill.core.errors import CorruptBundle, Internal, Unprocessable
from gristmill.frameworks.llama_cpp.adapters import Lora

_BYTES_OF_A_VALUE = 2  # keys and values are kept in half precision
_MOST_TOKENS = 2048  # of one call


class Token(NamedTuple):
    id: int
    position: int
    sequence: int
    wanted: bool  # its logits


@library.llama_log_callback  # type: ignore[untyped-decorator]
def _quiet(level: int, text: bytes, told: Any) -> None:
    """llama.cpp tells hundreds of lines of every load; what fails comes back as a value."""


class Form(IntEnum):
    """What weights are turned into while they are loaded; llama.cpp's numbers."""

    eight_bits = library.LLAMA_FTYPE_MOSTLY_Q8_0
    bfloat16 = library.LLAMA_FTYPE_MOSTLY_BF16


class Model:
    def __init__(self, path: Path, form: Form | None, threads: int) -> None:
        """`form` None: as the file has them. Raises CorruptBundle."""
        self.path = path
        library.llama_log_set(_quiet, ctypes.c_void_p(0))
        library.llama_backend_init()
        if form is None:
            self.pointer = _opened(path)
        else:
            with tempfile.TemporaryDirectory() as folder:  # the file stays mapped when it is gone
                self.pointer = _opened(_turned(path, Path(folder) / path.name, form, threads))
        self.vocabulary = int(library.llama_vocab_n_tokens(library.llama_model_get_vocab(self.pointer)))

    @property
    def bytes(self) -> int:
        """Of the weights."""
        return int(library.llama_model_size(self.pointer))

    @property
    def bytes_a_token(self) -> int:
        """Of keys and values, at most."""
        heads = max(1, library.llama_model_n_head(self.pointer))
        width = library.llama_model_n_embd(self.pointer) // heads
        shared = library.llama_model_n_head_kv(self.pointer)
        return int(2 * _BYTES_OF_A_VALUE * shared * width * library.llama_model_n_layer(self.pointer))

    @property
    def forgets(self) -> bool:
        """Whether its memory is a state that cannot be cut back to an earlier token."""
        recurrent = library.llama_model_is_recurrent(self.pointer) or library.llama_model_is_hybrid(self.pointer)
        return bool(recurrent)

    def close(self) -> None:
        library.llama_model_free(self.pointer)


def _opened(path: Path) -> Any:
    parameters = library.llama_model_default_params()
    parameters.n_gpu_layers = 0
    pointer = library.llama_model_load_from_file(str(path).encode(), parameters)
    if not pointer:
        raise CorruptBundle("llama.cpp cannot open the file: its header and its weights do not agree, or it does "
                            "not know the architecture.", file=path.name)  # fmt: skip
    return pointer


def _turned(path: Path, target: Path, form: Form, threads: int) -> Path:
    parameters = library.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread, parameters.allow_requantize = form, threads, True
    if library.llama_model_quantize(str(path).encode(), str(target).encode(), ctypes.byref(parameters)):
        raise Unprocessable("llama.cpp cannot turn these weights into another form: deploy the version with the "
                            "runtime llama-cpp.", field="runtime")  # fmt: skip
    return target


class Context:
    """Keys and values of `sequences` sequences with room for `capacity` tokens each, apart from one another: attention
    reads a sequence's own cells only. A call computes neighbouring sequences together."""

    def __init__(self, model: Model, capacity: int, sequences: int, threads: int) -> None:
        """Raises Unprocessable when the memory cannot be had."""
        parameters = library.llama_context_default_params()
        parameters.n_ctx, parameters.n_seq_max = capacity * sequences, sequences
        parameters.n_batch, parameters.n_ubatch = _MOST_TOKENS, 512
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.kv_unified = False
        parameters.no_perf = True
        self._pointer = library.llama_init_from_model(model.pointer, parameters)
        if not self._pointer:
            raise Unprocessable(f"llama.cpp has no memory for {sequences} times {capacity} tokens of context: grant "
                                "the replica more.", field="memory")  # fmt: skip
        self._memory = library.llama_get_memory(self._pointer)
        self._vocabulary = model.vocabulary
        self._batch = _Batch(_MOST_TOKENS)
        self._adapter: Lora | None = None

    def compute(self, tokens: Sequence[Token]) -> np.ndarray:
        """float32 [wanted, vocabulary], in the tokens' order; what it shows is gone with the next call."""
        status = library.llama_decode(self._pointer, self._batch.filled(tokens))
        if status:
            raise Internal(f"llama.cpp could not compute a step: status {status}.")
        wanted = sum(token.wanted for token in tokens)
        return np.ctypeslib.as_array(library.llama_get_logits(self._pointer), (wanted, self._vocabulary))

    def copy(self, source: int, target: int) -> None:
        """All of one sequence in another's place."""
        library.llama_memory_seq_rm(self._memory, target, -1, -1)
        library.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def cut(self, sequence: int, tokens: int) -> None:
        """Forget all but the first `tokens`."""
        library.llama_memory_seq_rm(self._memory, sequence, tokens, -1)

    def adapt(self, adapter: Lora | None) -> None:
        """From now on compute with this adapter, or with none."""
        if adapter is not self._adapter:
            one = (library.llama_adapter_lora_p_ctypes * 1)(adapter and adapter.pointer)
            library.llama_set_adapters_lora(self._pointer, one, int(adapter is not None), (ctypes.c_float * 1)(1.0))
            self._adapter = adapter

    def close(self) -> None:
        self._adapter = None
        library.llama_free(self._pointer)


class _Batch:
    """`llama_batch` over arrays of ours, so that a step writes numbers and allocates nothing."""

    def __init__(self, most: int) -> None:
        self._tokens, self._positions, self._sequences = (np.zeros(most, np.int32) for _ in range(3))
        self._counts, self._wanted = np.ones(most, np.int32), np.zeros(most, np.int8)
        first = self._sequences.ctypes.data
        self._pointers = np.arange(most, dtype=np.uint64) * 4 + np.uint64(first)

    def filled(self, tokens: Sequence[Token]) -> Any:
        columns: tuple[np.ndarray, ...] = (self._tokens, self._positions, self._sequences, self._wanted)
        for column, values in zip(columns, zip(*tokens, strict=True), strict=True):
            column[: len(tokens)] = values
        batch = library.llama_batch()
        batch.n_tokens = len(tokens)
        for name, array in (("token", self._tokens), ("pos", self._positions), ("n_seq_id", self._counts),
                            ("seq_id", self._pointers), ("logits", self._wanted)):  # fmt: skip
            kind = dict(library.llama_batch._fields_)[name]
            setattr(batch, name, ctypes.cast(array.ctypes.data, kind))
        return batch
