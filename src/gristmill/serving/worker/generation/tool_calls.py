"""Calls of tools: what a model writes between its marks, and the grammar of a call that it must write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from gristmill.core.generation import GenerationRequest, ToolCallDelta
from gristmill.core.ids import new_id
from gristmill.serving.worker.generation.segments import MARKS, Kind


class _Call(msgspec.Struct):
    name: str
    arguments: dict[str, Any] | str = {}


_call = msgspec.json.Decoder(_Call).decode


def read_call(text: str, index: int) -> tuple[ToolCallDelta, ...] | None:
    """`{"name": ..., "arguments": {...}}` as the deltas of one call; None where it is no call."""
    try:
        call = _call(text.strip())
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)
    return ToolCallDelta(index, new_id("call"), call.name), ToolCallDelta(index, arguments=arguments)


def wanted_tools(asked: GenerationRequest) -> list[dict[str, Any]]:
    """The functions that must be called: all for `required`, the one that is named; none where the model chooses."""
    functions = [tool["function"] for tool in asked.tools]
    if asked.tool_choice in ("none", "auto"):
        return []
    if asked.tool_choice == "required":
        return functions
    return [function for function in functions if function["name"] == asked.tool_choice]


def call_grammar(functions: Sequence[dict[str, Any]], *, several: bool) -> str:
    """In llguidance's Lark: one call, or several, of one of `functions` with arguments that fit its schema."""
    schemas = [
        {
            "type": "object",
            "properties": {
                "name": {"const": function["name"]},
                "arguments": function.get("parameters") or {"type": "object"},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for function in functions
    ]
    schema = json.dumps(schemas[0] if len(schemas) == 1 else {"anyOf": schemas})
    opening, closing = (json.dumps(mark) for mark in MARKS[Kind.tool_call])
    more = ' ("\\n" one)*' if several else ""
    return f'start: one{more}\none: {opening} "\\n" call "\\n" {closing}\ncall: %json {schema}\n'
