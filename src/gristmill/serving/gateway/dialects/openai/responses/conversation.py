"""The items of a response's input as the messages of a chat."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from gristmill.core.errors import Malformed
from gristmill.serving.gateway.dialects.openai.messages import CalledFunction, Message, Part, ToolCall
from gristmill.serving.gateway.dialects.openai.parameters import (
    Chat,
    Function,
    JsonSchema,
    NamedFunction,
    NamedTool,
    ResponseFormat,
    Tool,
)
from gristmill.serving.gateway.dialects.openai.refusals import missing
from gristmill.serving.gateway.dialects.openai.responses.asked import Counted, Item, NamedChoice, Response

_NEEDED = {"message": ("role", "content"), "function_call": ("call_id", "name", "arguments"),
           "function_call_output": ("call_id", "output"), "reasoning": ()}  # fmt: skip
_FIELDS = {"max_completion_tokens": "max_output_tokens", "response_format": "text.format"}


def own_items(asked: Counted) -> list[Item]:
    """The input as items. Raises Malformed naming what one lacks."""
    items = [Item(role="user", content=asked.input)] if isinstance(asked.input, str) else asked.input
    for place, item in enumerate(items):
        lacking = next((name for name in _NEEDED[item.type] if getattr(item, name) is None), None)
        if lacking is not None:
            raise missing(f"input[{place}].{lacking}")
        if item.type == "function_call" and not _is_json(item.arguments or "{}"):
            field = f"input[{place}].arguments"
            raise Malformed(f"Invalid {field!r}: the arguments of a call are JSON.", field=field)
    return items


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def as_chat(asked: Counted, items: Sequence[Item]) -> Chat:
    """The same request in the terms of chats; `items`: the conversation so far and the input."""
    messages = [Message("system", asked.instructions)] if asked.instructions else []
    messages += _messages(items)
    if not messages:
        raise missing("input")
    form = asked.text.format if asked.text is not None else None
    functions = [Function(tool.name, tool.description, tool.parameters, tool.strict) for tool in asked.tools]
    choice = asked.tool_choice
    more: dict[str, Any] = {}
    if isinstance(asked, Response):
        more = {"max_completion_tokens": asked.max_output_tokens, "temperature": asked.temperature}
        more |= {"top_p": asked.top_p, "logprobs": asked.logprobs is not None, "top_logprobs": asked.logprobs}
    return Chat(
        model=asked.model,
        messages=messages,
        tools=[Tool(function) for function in functions] or None,
        tool_choice=NamedTool(NamedFunction(choice.name)) if isinstance(choice, NamedChoice) else choice,
        parallel_tool_calls=asked.parallel_tool_calls,
        response_format=None if form is None else ResponseFormat(form.type, JsonSchema(form.name, form.schema)),
        **more,
    )


def _messages(items: Sequence[Item]) -> list[Message]:
    """What a model said in one turn is one message: its thought, its text, its calls."""
    messages: list[Message] = []
    thought: str | None = None
    for item in items:
        if item.type == "reasoning":
            thought = _plain(item.content if item.content is not None else item.summary)
        elif item.type == "function_call":
            called = CalledFunction(str(item.name), str(item.arguments))
            if not messages or messages[-1].role != "assistant":
                messages.append(Message("assistant", "", reasoning_content=thought))
                thought = None
            said = messages[-1]
            said.tool_calls = [*(said.tool_calls or ()), ToolCall(str(item.call_id), called)]
        elif item.type == "function_call_output":
            messages.append(Message("tool", item.output, tool_call_id=item.call_id))
        else:
            assert item.role is not None
            own = thought if item.role == "assistant" else None
            messages.append(Message(item.role, item.content, reasoning_content=own))
            thought = None
    return messages


def _plain(content: str | list[Part]) -> str:
    return content if isinstance(content, str) else "".join(part.text or "" for part in content)


def as_input(field: Any, asked: Counted, items: Sequence[Item]) -> Any:
    """The name that the client knows: `messages[1].content` of the chat is of the item of the input that made it."""
    if not isinstance(field, str) or not field.startswith("messages"):
        return _FIELDS.get(str(field), field)
    earlier = len(items) - (1 if isinstance(asked.input, str) else len(asked.input))
    before = [len(_messages(items[: count + 1])) for count in range(len(items))]
    instructions = int(bool(asked.instructions))

    def renamed(found: re.Match[str]) -> str:
        if found[1] is None:
            return "input"
        place = next((at for at, made in enumerate(before) if made > int(found[1]) - instructions), len(items) - 1)
        return f"input[{place - earlier}]" if place >= earlier else "previous_response_id"

    return re.sub(r"^messages(?:\[(\d+)\])?", renamed, field)
