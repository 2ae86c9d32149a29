"""What OpenAI's clients may ask of `/v1/responses`; what is not here is refused by its name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gristmill.core.errors import Malformed
from gristmill.serving.gateway.dialects.openai.messages import Part
from gristmill.serving.gateway.dialects.openai.parameters import (
    Count,
    Metadata,
    ServiceTier,
    StreamOptions,
    Temperature,
)


class Item(msgspec.Struct, omit_defaults=True):
    """Of the input: a message, a thought or a call that the model gave, or what a tool answered.

    Clients send back what they were given, so that it may have more fields than these.
    """

    type: Literal["message", "reasoning", "function_call", "function_call_output"] = "message"
    id: str | None = None
    status: str | None = None
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: str | list[Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[Part] | None = None
    summary: list[Part] = []


class FlatTool(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    type: Literal["function"]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Form(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str = ""
    schema: dict[str, Any] = {}
    strict: bool | None = None
    description: str | None = None


class Text(msgspec.Struct, forbid_unknown_fields=True):
    format: Form | None = None


class NamedChoice(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["function"]
    name: str


class Counted(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What makes the prompt of a response: of this much `/v1/responses/input_tokens` counts the tokens."""

    model: str
    input: str | list[Item]
    instructions: str | None = None
    previous_response_id: str | None = None
    tools: list[FlatTool] = []
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool | None = True
    text: Text | None = None
    truncation: Literal["disabled"] | None = None


class Response(Counted, forbid_unknown_fields=True, kw_only=True):
    max_output_tokens: Count | None = None
    temperature: Temperature | None = 1.0
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = 1.0
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    include: list[Literal["message.output_text.logprobs"]] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    store: bool | None = None  # None: as long as this installation keeps any
    background: Literal[False] | None = None
    service_tier: ServiceTier | None = None
    metadata: Metadata | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    def __post_init__(self) -> None:
        if self.stream_options is not None and not self.stream:
            raise Malformed("stream_options needs stream to be true.", field="stream_options")

    @property
    def logprobs(self) -> int | None:
        """How many beside the chosen token; None: not asked for."""
        return self.top_logprobs or 0 if self.include or self.top_logprobs is not None else None
