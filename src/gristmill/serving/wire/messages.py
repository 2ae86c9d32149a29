"""What a gateway and a worker say to each other: one frame a message, one message a batch.

Tensor bytes lie behind the header in the order of the parts; a batch holds the requests' rows one after the other.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gristmill.core.errors import GristmillError, from_code
from gristmill.core.generation import Delta, GenerationRequest, TokenUsage
from gristmill.core.supervision import Adapt, Ping


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One tensor of a batch: `shape` is a row's, without the batch; `size` its bytes in the frame's body."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int


class Payload(msgspec.Struct, frozen=True, array_like=True):
    """One request's raw body, for the task itself to parse."""

    content_type: str | None
    size: int


class Fault(msgspec.Struct, frozen=True, array_like=True):
    """Why one request of a batch has no answer: an error of core.errors that crossed the socket."""

    code: str
    message: str
    details: dict[str, Any] = {}

    def error(self) -> GristmillError:
        return from_code(self.code, self.message, **self.details)


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """A gateway's first message on its connection; answered by Ready as soon as the version is loaded."""

    gateway: str


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    digest: str
    timings: tuple[tuple[int, float], ...] = ()  # of the warm-up: (rows, seconds), a first guess of the cost


class Draining(msgspec.Struct, frozen=True, tag="draining"):
    """The worker was told to end: it answers what it has; send no more and close."""


class Compute(msgspec.Struct, frozen=True, tag="compute"):
    batch: int
    rows: list[int]  # of each request
    inputs: tuple[Part, ...]


class Parse(msgspec.Struct, frozen=True, tag="parse"):
    batch: int
    payloads: list[Payload]


NOT_EXPLAINED = (  # whoever sees it first says it: the worker, or the gateway
    "The deadline passed before the explanation was computed: allow it more time, or ask for fewer steps, permutations "
    "or windows."
)


class Explain(msgspec.Struct, frozen=True, tag="explain"):
    """One request: tensors when `payload` is None, else a raw body for the task to parse."""

    batch: int
    rows: int
    inputs: tuple[Part, ...]
    payload: Payload | None
    parameters: dict[str, Any]
    within_s: float  # what its deadline leaves: what is not done by then is not computed


class Generate(msgspec.Struct, frozen=True, tag="generate"):
    """Begin to generate; answered by Generated frames until the request is among the `ended`."""

    request: int  # the gateway's own number, unique on its connection
    asked: GenerationRequest


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """The client left, or the deadline passed: free the request's work; it is ended with what it used."""

    request: int


class Tokenize(msgspec.Struct, frozen=True, tag="tokenize"):
    """Answered by Answered with {"tokens": [...], "count": N} as its one document."""

    batch: int
    asked: GenerationRequest


class Computed(msgspec.Struct, frozen=True, tag="computed"):
    """Output rows of the requests without a fault, one after the other; `faults` by the request's place."""

    batch: int
    outputs: tuple[Part, ...]
    compute_us: int
    faults: dict[int, Fault] = {}


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    """One JSON document a request (empty where it has a fault): the task's answers, or the explanations."""

    batch: int
    sizes: list[int]
    rows: list[int]
    compute_us: int
    faults: dict[int, Fault] = {}


class Begun(msgspec.Struct, frozen=True, array_like=True):
    """A request was taken: `prompt` tokens are computed, whatever becomes of it."""

    request: int
    prompt: int


class Ended(msgspec.Struct, frozen=True, array_like=True):
    """A request's last word: what it used, and the fault that ended it, if any."""

    request: int
    usage: TokenUsage
    compute_us: int  # its share of the steps that it took part in
    fault: Fault | None = None
    energy_uj: int | None = None  # its share of their energy; None: no counter told


class Generated(msgspec.Struct, frozen=True, tag="generated"):
    """What one step of the engine gave to the requests of this connection: one frame a step, not one a token."""

    deltas: tuple[Delta, ...] = ()
    ended: tuple[Ended, ...] = ()
    begun: tuple[Begun, ...] = ()


ToWorker = Ping | Adapt | Hello | Compute | Parse | Explain | Generate | Cancel | Tokenize
ToGateway = Ready | Draining | Computed | Answered | Generated

decode_to_worker = msgspec.msgpack.Decoder(ToWorker).decode
decode_to_gateway = msgspec.msgpack.Decoder(ToGateway).decode
