"""`POST /v1/chat/completions`."""

from __future__ import annotations

from typing import Any

import msgspec

from gristmill.core.errors import Malformed
from gristmill.core.generation import Delta, GenerationRequest, TokenLogprob, ToolCallDelta
from gristmill.serving.gateway.dialects.openai import logprobs
from gristmill.serving.gateway.dialects.openai.answering import Generations, Target, now, target, usage_document
from gristmill.serving.gateway.dialects.openai.messages import rendered
from gristmill.serving.gateway.dialects.openai.parameters import Chat, NamedTool, read
from gristmill.serving.gateway.dialects.openai.refusals import missing, unsupported
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.work import Answer, StreamedAnswer

_json = msgspec.json.encode


async def chat(request: Request) -> Answer | StreamedAnswer:
    asked = read(await request.body(), Chat)
    at = target(request, asked.model)
    generations = Generations(request, at, [generation(asked, at)])
    answer = ChatAnswer(asked, request.record_id, generations)
    if asked.stream:
        return await generations.events(answer.event, answer.last_event)
    await generations.whole(answer.add)
    return generations.reply(answer.document())


def generation(asked: Chat, at: Target) -> GenerationRequest:
    """Raises Malformed naming what the model cannot do, or what contradicts."""
    facts = at.facts
    if facts is not None and not facts.chat:
        raise unsupported(f"{at.model!r} has no chat template: send a prompt to /v1/completions.", "messages")
    if asked.tools and facts is not None and not facts.tools:
        raise unsupported(f"{at.model!r} takes no tools: its chat template knows none.", "tools")
    if asked.top_logprobs is not None and not asked.logprobs:
        raise Malformed("top_logprobs needs logprobs to be true.", field="top_logprobs")
    tools, choice = _tools(asked)
    schema = _schema(asked)
    if schema is not None and tools and choice not in ("none", "auto"):
        raise Malformed("A schema and a tool that must be called contradict: leave one out.", field="response_format")
    return GenerationRequest(
        messages=rendered(asked.messages),
        adapter=at.adapter,
        n=asked.n or 1,
        max_tokens=asked.max_completion_tokens or asked.max_tokens,
        stop=asked.stops(),
        sampling=asked.sampling(),
        logprobs=(asked.top_logprobs or 0) if asked.logprobs else None,
        ignore_eos=asked.ignore_eos,
        json_schema=schema,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=asked.parallel_tool_calls is not False,
        template_arguments=asked.chat_template_kwargs or {},
    )


def _tools(asked: Chat) -> tuple[list[dict[str, Any]], str]:
    tools = [msgspec.to_builtins(tool) for tool in asked.tools or ()]
    names = {tool["function"]["name"] for tool in tools}
    if len(names) < len(tools):
        raise Malformed("Two tools have the same name.", field="tools")
    choice = asked.tool_choice
    if isinstance(choice, NamedTool):
        if choice.function.name not in names:
            raise Malformed(f"There is no function {choice.function.name!r} among the tools.", field="tool_choice")
        return tools, choice.function.name
    if choice is not None and choice != "none" and not tools:
        raise Malformed("tool_choice needs tools.", field="tool_choice")
    return tools, choice or "auto"


def _schema(asked: Chat) -> dict[str, Any] | None:
    form = asked.response_format
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return {}
    if form.json_schema is None:
        raise missing("response_format.json_schema")
    return form.json_schema.schema


class _Choice:
    def __init__(self) -> None:
        self.text = ""
        self.reasoning = ""
        self.calls: list[dict[str, Any]] = []
        self.logprobs: list[TokenLogprob] = []
        self.finish: str | None = None
        self.begun = False

    def message(self) -> dict[str, Any]:
        content = None if self.calls and not self.text.strip() else self.text
        made: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        if self.reasoning:
            made["reasoning_content"] = self.reasoning
        return made | ({"tool_calls": self.calls} if self.calls else {})


class ChatAnswer:
    """One chat's answer, as events while it comes or as a document when it is whole."""

    def __init__(self, asked: Chat, record_id: str, generations: Generations) -> None:
        self._with_usage = asked.stream_options is not None and asked.stream_options.include_usage
        self._with_logprobs = bool(asked.logprobs)
        self._generations = generations
        self._choices = [_Choice() for _ in range(asked.n or 1)]
        self._head = {"id": f"chatcmpl-{record_id}", "created": now(), "model": asked.model}
        told = _json({**self._head, "object": "chat.completion.chunk"})
        usage = b',"usage":null' if self._with_usage else b""
        self._before = b"data: " + told[:-1] + usage + b',"choices":[{"index":'

    # Whole

    def add(self, place: int, delta: Delta) -> None:
        choice = self._choices[delta.choice]
        choice.text += delta.text
        choice.reasoning += delta.reasoning
        choice.logprobs += delta.logprobs
        choice.finish = delta.finish or choice.finish
        for call in delta.tool_calls:
            if call.name:
                choice.calls.append(
                    {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
                )
            choice.calls[call.index]["function"]["arguments"] += call.arguments

    def document(self) -> bytes:
        choices = [
            {
                "index": index,
                "message": choice.message(),
                "logprobs": logprobs.of_chat(choice.logprobs) if self._with_logprobs else None,
                "finish_reason": choice.finish,
            }
            for index, choice in enumerate(self._choices)
        ]
        usage = usage_document(self._generations.used())
        return _json({**self._head, "object": "chat.completion", "choices": choices, "usage": usage})

    # As events

    def event(self, place: int, delta: Delta) -> bytes:
        choice = self._choices[delta.choice]
        parts = [] if choice.begun else [self._chunk(delta.choice, b'{"role":"assistant","content":""}')]
        choice.begun = True
        told = b"null"
        if delta.logprobs and self._with_logprobs:
            told = _json(logprobs.of_chat(delta.logprobs))
        parts += [
            self._chunk(delta.choice, _json({"tool_calls": [{"index": call.index} | _call(call)]}))
            for call in delta.tool_calls
        ]
        if delta.reasoning:
            parts.append(self._chunk(delta.choice, b'{"reasoning_content":%b}' % _json(delta.reasoning)))
        if delta.text or told != b"null":
            parts.append(self._chunk(delta.choice, b'{"content":%b}' % _json(delta.text), told))
        if delta.finish is not None:
            parts.append(self._chunk(delta.choice, b"{}", finish=b'"%b"' % delta.finish.encode()))
        return b"".join(parts)

    def _chunk(self, index: int, delta: bytes, told: bytes = b"null", finish: bytes = b"null") -> bytes:
        return b'%b%d,"delta":%b,"logprobs":%b,"finish_reason":%b}]}\n\n' % (self._before, index, delta, told, finish)

    def last_event(self) -> bytes:
        if not self._with_usage:
            return b""
        usage = usage_document(self._generations.used())
        document = {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": usage}
        return b"data: %b\n\n" % _json(document)


def _call(call: ToolCallDelta) -> dict[str, Any]:
    if call.name:
        return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
    return {"function": {"arguments": call.arguments}}
