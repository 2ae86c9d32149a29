"""What OpenAI's clients may ask of a language model, each field checked: what cannot be done is refused by its name."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gristmill.core.errors import Malformed
from gristmill.core.generation import Sampling
from gristmill.serving.gateway.dialects.openai.broken_text import broken_place
from gristmill.serving.gateway.dialects.openai.messages import Message
from gristmill.serving.gateway.dialects.openai.refusals import refused, unsupported

Count = Annotated[int, Meta(ge=1)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
ServiceTier = Literal["auto", "default"]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]
Stop = Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(max_length=16)] | Annotated[str, Meta(min_length=1)]


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    include_usage: bool = False
    include_obfuscation: bool = False


class _Common(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Of chats and of completions. Past `stop` come those that OpenAI has not: as vLLM and Transformers name them."""

    model: str
    max_tokens: Count | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = 1
    temperature: Temperature | None = 1.0
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = 1.0
    presence_penalty: Penalty | None = 0.0
    frequency_penalty: Penalty | None = 0.0
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    seed: int | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    stop: Stop | None = None
    user: str | None = None
    top_k: Annotated[int, Meta(ge=-1)] = 0
    min_p: Share = 0.0
    repetition_penalty: Annotated[float, Meta(gt=0, le=10)] = 1.0
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        if self.stream_options is not None and not self.stream:
            raise Malformed("stream_options needs stream to be true.", field="stream_options")

    def sampling(self) -> Sampling:
        """Raises Malformed where a biased token is no id."""
        return Sampling(
            1.0 if self.temperature is None else self.temperature,
            1.0 if self.top_p is None else self.top_p,
            max(self.top_k, 0),
            self.min_p,
            self.presence_penalty or 0.0,
            self.frequency_penalty or 0.0,
            self.repetition_penalty,
            _by_token(self.logit_bias or {}),
            None if self.seed is None else self.seed % 2**63,
        )

    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class JsonSchema(msgspec.Struct):
    name: str
    schema: dict[str, Any] = {}
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class Function(msgspec.Struct):
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct, forbid_unknown_fields=True):
    function: Function
    type: Literal["function"] = "function"


class NamedFunction(msgspec.Struct):
    name: str


class NamedTool(msgspec.Struct, forbid_unknown_fields=True):
    function: NamedFunction
    type: Literal["function"] = "function"


class Chat(_Common, kw_only=True):
    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = False
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = True
    chat_template_kwargs: dict[str, Any] | None = None
    modalities: list[Literal["text"]] | None = None
    metadata: Metadata | None = None
    store: bool | None = None
    service_tier: ServiceTier | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.store:
            raise unsupported("Chats are not stored here: leave 'store' out, or use /v1/responses.", "store")
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise Malformed("max_tokens and max_completion_tokens say the same: send one.", field="max_tokens")


class Completion(_Common, kw_only=True):
    prompt: str | list[Any]  # texts, a list of token ids, or lists of them
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    echo: bool | None = False
    best_of: Count | None = None


class Tokens(msgspec.Struct, forbid_unknown_fields=True):
    """Of /v1/tokenize, as vLLM has it."""

    model: str
    prompt: str | UnsetType = UNSET
    messages: list[Message] | UnsetType = UNSET


P = TypeVar("P", bound=msgspec.Struct)


def read(body: bytes, kind: type[P]) -> P:
    """Raises Malformed naming the field."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise refused(str(error), kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        place = broken_place(body)
        if place is not None:
            raise Malformed(f"Invalid {place!r}: the text is no valid Unicode.", field=place) from None
        raise Malformed(f"The body is not valid JSON: {error}.") from None


def _by_token(biases: dict[str, float]) -> dict[int, float]:
    try:
        return {int(token): bias for token, bias in biases.items()}
    except ValueError:
        raise Malformed("logit_bias goes by token ids: its keys are whole numbers.", field="logit_bias") from None
