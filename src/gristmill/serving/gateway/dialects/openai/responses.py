"""`POST /v1/responses`: plain text and tools. Nothing is stored: a conversation is sent whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gristmill.core.errors import GristmillError, Malformed
from gristmill.core.generation import Delta, ToolCallDelta
from gristmill.serving.gateway.dialects.openai.answering import Generations, now, target
from gristmill.serving.gateway.dialects.openai.chat import generation
from gristmill.serving.gateway.dialects.openai.messages import CalledFunction, Message, Part, ToolCall
from gristmill.serving.gateway.dialects.openai.parameters import (
    Chat,
    Count,
    Function,
    JsonSchema,
    NamedFunction,
    NamedTool,
    ResponseFormat,
    Temperature,
    Tool,
    read,
)
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.work import Answer, StreamedAnswer

_json = msgspec.json.encode


class Item(msgspec.Struct):
    """Of the input: a message, a call that the model made, or what a tool answered."""

    type: Literal["message", "function_call", "function_call_output"] = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: str | list[Part] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str = ""


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


class Response(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    input: str | list[Item]
    instructions: str | None = None
    max_output_tokens: Count | None = None
    temperature: Temperature | None = 1.0
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = 1.0
    stream: bool | None = False
    tools: list[FlatTool] = []
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool | None = True
    text: Text | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    store: bool | None = None  # nothing is, whatever is asked: every answer says so


async def responses(request: Request) -> Answer | StreamedAnswer:
    asked = read(await request.body(), Response)
    at = target(request, asked.model)
    try:
        generations = Generations(request, at, [generation(as_chat(asked), at)])
        answer = ResponseAnswer(asked, request.record_id, generations)
        if asked.stream:
            return await generations.events(answer.event, answer.last_event, done=False)
        await generations.whole(answer.add)
    except GristmillError as error:
        error.details["field"] = _as_input(error.details.get("field"), int(asked.instructions is not None))
        raise
    return generations.reply(_json(answer.document("completed")))


def _as_input(field: Any, before: int) -> Any:
    """`messages[1].content` of the chat is `input[0].content` where one message, of the instructions, is before."""
    if not isinstance(field, str) or not field.startswith("messages"):
        return field
    return re.sub(r"^messages(?:\[(\d+)\])?", lambda m: f"input[{int(m[1]) - before}]" if m[1] else "input", field)


def as_chat(asked: Response) -> Chat:
    """The same request in the terms of chats."""
    messages = [Message("system", asked.instructions)] if asked.instructions else []
    items = [Item(role="user", content=asked.input)] if isinstance(asked.input, str) else asked.input
    messages += _messages(items)
    if not messages:
        raise Malformed("Missing required parameter: 'input'.", field="input")
    form = asked.text.format if asked.text is not None else None
    functions = [Function(tool.name, tool.description, tool.parameters, tool.strict) for tool in asked.tools]
    choice = asked.tool_choice
    return Chat(
        model=asked.model,
        messages=messages,
        max_completion_tokens=asked.max_output_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        tools=[Tool(function) for function in functions] or None,
        tool_choice=NamedTool(NamedFunction(choice.name)) if isinstance(choice, NamedChoice) else choice,
        parallel_tool_calls=asked.parallel_tool_calls,
        response_format=None if form is None else ResponseFormat(form.type, JsonSchema(form.name, form.schema)),
    )


def _messages(items: Sequence[Item]) -> list[Message]:
    messages: list[Message] = []
    for place, item in enumerate(items):
        if item.type == "function_call":
            call = ToolCall(item.call_id, CalledFunction(item.name, item.arguments))
            messages.append(Message("assistant", "", tool_calls=[call]))
        elif item.type == "function_call_output":
            messages.append(Message("tool", item.output, tool_call_id=item.call_id))
        elif item.role is None:
            raise Malformed(f"Missing required parameter: 'input[{place}].role'.", field=f"input[{place}].role")
        else:
            messages.append(Message(item.role, item.content))
    return messages


class ResponseAnswer:
    """One answer: a message, then the calls of tools, each an item of the output."""

    def __init__(self, asked: Response, record_id: str, generations: Generations) -> None:
        self._generations = generations
        self._text = ""
        self._calls: list[dict[str, Any]] = []
        self._finish: str | None = None
        self._message = f"msg_{record_id}"
        self._number = 0  # of the next event
        self._begun = self._speaking = False
        self._head = {
            "id": f"resp_{record_id}", "object": "response", "created_at": now(), "model": asked.model,
            "instructions": asked.instructions, "max_output_tokens": asked.max_output_tokens,
            "metadata": asked.metadata or {}, "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "temperature": asked.temperature, "top_p": asked.top_p, "store": False, "error": None,
            "tools": msgspec.to_builtins(asked.tools), "tool_choice": msgspec.to_builtins(asked.tool_choice or "auto"),
        }  # fmt: skip

    def add(self, place: int, delta: Delta) -> None:
        self._text += delta.text
        self._finish = delta.finish or self._finish
        for call in delta.tool_calls:
            self._add_call(call)

    def _add_call(self, call: ToolCallDelta) -> None:
        if call.name:
            self._calls.append({"id": f"fc_{call.id}", "type": "function_call", "status": "completed",
                                "call_id": call.id, "name": call.name, "arguments": ""})  # fmt: skip
        self._calls[call.index]["arguments"] += call.arguments

    def _part(self) -> dict[str, Any]:
        return {"type": "output_text", "text": self._text, "annotations": [], "logprobs": []}

    def _said(self, status: str) -> dict[str, Any]:
        content = [self._part()] if status == "completed" else []
        return {"id": self._message, "type": "message", "role": "assistant", "status": status, "content": content}

    def document(self, status: str) -> dict[str, Any]:
        """OpenAI's response object; `incomplete` where the answer was cut at its most tokens."""
        made: dict[str, Any] = {**self._head, "status": status, "output": [], "incomplete_details": None, "usage": None}
        if status != "completed":
            return made
        if self._finish == "length":
            made |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        message = [self._said("completed")] if self._text.strip() or not self._calls else []
        (used,) = self._generations.used()
        usage = {
            "input_tokens": used.prompt, "input_tokens_details": {"cached_tokens": used.cached},
            "output_tokens": used.completion, "output_tokens_details": {"reasoning_tokens": used.reasoning},
            "total_tokens": used.prompt + used.completion,
        }  # fmt: skip
        return made | {"output": [*message, *self._calls], "usage": usage}

    # As events

    def event(self, place: int, delta: Delta) -> bytes:
        parts = []
        if not self._begun:
            self._begun = True
            parts += [self._event(f"response.{kind}", response=self.document("in_progress"))
                      for kind in ("created", "in_progress")]  # fmt: skip
        if delta.text and not self._speaking:
            self._speaking = True
            parts.append(self._event("response.output_item.added", output_index=0, item=self._said("in_progress")))
            parts.append(self._event("response.content_part.added", **self._place(), part=self._part()))
        self.add(place, delta)
        if delta.text:
            parts.append(self._event("response.output_text.delta", **self._place(), delta=delta.text, logprobs=[]))
        return b"".join(parts)

    def last_event(self) -> bytes:
        parts = []
        if self._speaking:
            parts += [
                self._event("response.output_text.done", **self._place(), text=self._text, logprobs=[]),
                self._event("response.content_part.done", **self._place(), part=self._part()),
                self._event("response.output_item.done", output_index=0, item=self._said("completed")),
            ]
        for index, call in enumerate(self._calls, int(self._speaking)):
            begun = call | {"arguments": "", "status": "in_progress"}
            told = {"item_id": call["id"], "output_index": index, "arguments": call["arguments"], "name": call["name"]}
            parts += [
                self._event("response.output_item.added", output_index=index, item=begun),
                self._event("response.function_call_arguments.done", **told),
                self._event("response.output_item.done", output_index=index, item=call),
            ]
        document = self.document("completed")
        return b"".join([*parts, self._event(f"response.{document['status']}", response=document)])

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._message, "output_index": 0, "content_index": 0}

    def _event(self, kind: str, **told: Any) -> bytes:
        data = _json({"type": kind, "sequence_number": self._number, **told})
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)
