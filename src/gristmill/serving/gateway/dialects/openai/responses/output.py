"""Items of a response's output: what the model thought, what it said, which function it calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from gristmill.core.generation import TokenLogprob
from gristmill.serving.gateway.dialects.openai import logprobs

Told = list[tuple[str, dict[str, Any]]]  # events: their types and what they tell; whoever sends them adds the place


class Kind(NamedTuple):
    """Of text that is given in one part."""

    kind: str  # the item's type
    prefix: str  # of its id
    part: str  # the part's type, and what its events are named after
    fixed: dict[str, Any]  # fields of the item
    field: dict[str, Any]  # of the part


said = Kind("message", "msg", "output_text", {"role": "assistant"}, {"annotations": []})
thought = Kind("reasoning", "rs", "reasoning_text", {"summary": []}, {})


class Output(Protocol):
    id: str
    status: str  # in_progress, completed, incomplete

    @property
    def kind(self) -> str: ...

    def document(self) -> dict[str, Any]: ...

    def begun(self) -> Told: ...

    def done(self) -> Told: ...


class Spoken:
    def __init__(self, id: str, kind: Kind) -> None:
        self.id, self._kind, self.status = id, kind, "in_progress"
        self.text = ""
        self._logprobs: list[TokenLogprob] = []

    @property
    def kind(self) -> str:
        return self._kind.kind

    def document(self) -> dict[str, Any]:
        content = [] if self.status == "in_progress" else [self._part()]
        return {"id": self.id, "type": self.kind, "status": self.status, **self._kind.fixed, "content": content}

    def _part(self) -> dict[str, Any]:
        return {"type": self._kind.part, "text": self.text, **self._kind.field, **self._told(self._logprobs)}

    def _told(self, told: Sequence[TokenLogprob]) -> dict[str, Any]:
        return {"logprobs": logprobs.of_chat(told)["content"]} if self._kind is said else {}

    def begun(self) -> Told:
        return [("response.content_part.added", {"content_index": 0, "part": self._part()})]

    def add(self, text: str, told: Sequence[TokenLogprob]) -> Told:
        self.text += text
        self._logprobs += told
        return [(f"response.{self._kind.part}.delta", {"content_index": 0, "delta": text, **self._told(told)})]

    def done(self) -> Told:
        whole = {"content_index": 0, "text": self.text, **self._told(self._logprobs)}
        return [(f"response.{self._kind.part}.done", whole),
                ("response.content_part.done", {"content_index": 0, "part": self._part()})]  # fmt: skip


class Call:
    kind = "function_call"

    def __init__(self, id: str, call_id: str, name: str) -> None:
        self.id, self._call_id, self._name, self.status = id, call_id, name, "in_progress"
        self._arguments = ""

    def document(self) -> dict[str, Any]:
        return {"id": self.id, "type": self.kind, "status": self.status, "call_id": self._call_id,
                "name": self._name, "arguments": self._arguments}  # fmt: skip

    def begun(self) -> Told:
        return []

    def add(self, arguments: str) -> Told:
        self._arguments += arguments
        return [("response.function_call_arguments.delta", {"delta": arguments})] if arguments else []

    def done(self) -> Told:
        whole = {"arguments": self._arguments, "name": self._name}
        return [("response.function_call_arguments.done", whole)]
