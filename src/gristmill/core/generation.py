"""What is asked of a language model and what it gives, as data: the same for every dialect and every engine."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class LanguageFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of a version that generates text: what a gateway must know to refuse at the door what the model cannot do."""

    context_length: int  # tokens of prompt and answer together
    vocabulary: int
    chat: bool = False  # it has a chat template
    tools: bool = False  # its template takes tools


class Sampling(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the next token is drawn. Temperature 0 is greedy; the other defaults change nothing."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0: all
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: dict[int, float] = {}  # by token id
    seed: int | None = None  # None: another each time


class GenerationRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request to a language model; every field is checked by the dialect that made it.

    Exactly one of `messages` and `prompt` is there.
    """

    messages: list[dict[str, Any]] | None = None  # of a chat, in OpenAI's shapes: rendered by the model's own template
    prompt: str | list[int] | None = None  # text, or token ids
    adapter: str | None = None
    n: int = 1
    max_tokens: int | None = None  # None: to the end of the context
    stop: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    logprobs: int | None = None  # None: not asked; k: of the chosen token and of the k likeliest
    ignore_eos: bool = False  # for benchmarks: generate all `max_tokens`
    echo: bool = False  # the answer begins with the prompt, whose tokens have log probabilities too; needs `logprobs`
    json_schema: dict[str, Any] | None = None  # the answer's; {} for any JSON object
    tools: list[dict[str, Any]] = []  # OpenAI's tool objects
    tool_choice: str = "auto"  # none, auto, required, or a function's name
    parallel_tool_calls: bool = True
    template_arguments: dict[str, Any] = {}  # more for the chat template
    explanation: dict[str, Any] | None = None  # its parameters: the answer's text is then its explanation, as JSON


class Finish(StrEnum):
    stop = "stop"
    length = "length"
    tool_calls = "tool_calls"


class TokenLogprob(msgspec.Struct, frozen=True, array_like=True):
    """One token with its natural log probability; `data` is its bytes, since a token need not be whole UTF-8.

    NaN: it has none, as the first of a prompt, which nothing stands before.
    """

    token: str
    logprob: float
    data: bytes
    top: tuple[TokenLogprob, ...] = ()
    id: int = 0  # in the model's vocabulary


class ToolCallDelta(msgspec.Struct, frozen=True, array_like=True):
    """A piece of a tool call: the first of an `index` has its id and name, the others a fragment of the arguments."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class TokenUsage(msgspec.Struct, frozen=True, array_like=True):
    """Tokens of a whole request, its n choices together. `cached` are those of `prompt` that were not computed again,
    `reasoning` those of `completion` that were thought and not said."""

    prompt: int
    cached: int
    completion: int
    reasoning: int = 0


class Delta(msgspec.Struct, frozen=True, array_like=True):
    """What one choice of a request gained since its last delta; may hold several tokens."""

    request: int
    choice: int
    text: str = ""
    tokens: int = 0  # how many this delta stands for: a token that is not yet text counts too
    reasoning: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish: Finish | None = None
