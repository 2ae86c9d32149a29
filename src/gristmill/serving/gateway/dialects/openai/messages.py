"""Messages of a chat as OpenAI's clients send them, and as chat templates read them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from gristmill.core.errors import Malformed
from gristmill.serving.gateway.dialects.openai.refusals import missing

_TEXTS = frozenset(("text", "input_text", "output_text", "summary_text", "reasoning_text", "refusal"))


class CalledFunction(msgspec.Struct):
    name: str
    arguments: str


class ToolCall(msgspec.Struct):
    id: str
    function: CalledFunction
    type: Literal["function"] = "function"


class Part(msgspec.Struct, omit_defaults=True):
    type: str
    text: str | None = None
    refusal: str | None = None


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """Past `reasoning_content` come fields of an answer that clients send back as they got it: they say nothing."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    audio: None = None
    function_call: None = None


def rendered(messages: list[Message]) -> list[dict[str, Any]]:
    """As templates expect them: text contents, arguments of calls as objects. Raises Malformed naming the message."""
    return [_rendered(message, place) for place, message in enumerate(messages)]


def _rendered(message: Message, place: int) -> dict[str, Any]:
    role = "system" if message.role == "developer" else message.role
    made: dict[str, Any] = {"role": role, "content": _content(message, place)}
    if message.name is not None:
        made["name"] = message.name
    if message.tool_call_id is not None:
        made["tool_call_id"] = message.tool_call_id
    if message.reasoning_content is not None:
        made["reasoning_content"] = message.reasoning_content
    if message.tool_calls:
        made["tool_calls"] = [
            {"id": call.id, "type": "function",
             "function": {"name": call.function.name, "arguments": _arguments(call, place)}}
            for call in message.tool_calls
        ]  # fmt: skip
    return made


def _content(message: Message, place: int) -> str:
    if isinstance(message.content, str):
        return message.content
    if message.content is None:
        if message.role == "assistant" and message.tool_calls:
            return ""
        raise missing(f"messages[{place}].content")
    if not message.content:
        raise Malformed(
            "The content of a message has no parts.", field=f"messages[{place}].content", reason="empty_array"
        )
    return "".join([_text(part, f"messages[{place}].content[{number}]") for number, part in enumerate(message.content)])


def _text(part: Part, field: str) -> str:
    text = part.refusal if part.type == "refusal" else part.text
    if part.type in _TEXTS and text is None:
        raise missing(f"{field}.text")
    if part.type not in _TEXTS or text is None:
        raise Malformed(
            f"This model reads text: it takes no content of the type {part.type!r}.",
            field=field,
            reason="unsupported_value",
        )
    return text


def _arguments(call: ToolCall, place: int) -> Any:
    try:
        return msgspec.json.decode(call.function.arguments or "{}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Malformed("The arguments of a tool call are not valid JSON.",
                        field=f"messages[{place}].tool_calls") from None  # fmt: skip
