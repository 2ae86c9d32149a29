"""One answer of `/v1/responses`: its output items as they come, as events or as a document when it is whole."""

from __future__ import annotations

from typing import Any

import msgspec

from gristmill.core.errors import GristmillError
from gristmill.core.generation import Delta, TokenUsage
from gristmill.serving.gateway.dialects.openai.answering import now
from gristmill.serving.gateway.dialects.openai.errors import error_object
from gristmill.serving.gateway.dialects.openai.responses.asked import Response
from gristmill.serving.gateway.dialects.openai.responses.output import Call, Kind, Output, Spoken, said, thought

_json = msgspec.json.encode
Told = tuple[str, dict[str, Any]]  # an event: its type, and what it tells


class ResponseAnswer:
    """A turn of the model: thoughts, messages and calls of tools in the order in which it gave them."""

    def __init__(self, asked: Response, record_id: str, *, store: bool) -> None:
        own_id = record_id.removeprefix("req_")
        self.id = f"resp_{own_id}"
        self._own_id = own_id
        self.output: list[Output] = []
        self._held = ""  # white space that may turn out to stand before a call
        self._finish: str | None = None
        self._with_logprobs = asked.logprobs is not None
        self._number = 0  # of the next event
        self._begun = False
        form = asked.text.format if asked.text is not None else None
        self._head = {
            "id": self.id, "object": "response", "created_at": now(), "model": asked.model, "background": False,
            "instructions": asked.instructions, "max_output_tokens": asked.max_output_tokens,
            "metadata": asked.metadata or {}, "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "previous_response_id": asked.previous_response_id, "temperature": asked.temperature, "top_p": asked.top_p,
            "top_logprobs": asked.logprobs or 0, "store": store, "service_tier": "default", "truncation": "disabled",
            "text": {"format": {"type": "text"} if form is None else msgspec.to_builtins(form)}, "user": asked.user,
            "tools": msgspec.to_builtins(asked.tools), "tool_choice": msgspec.to_builtins(asked.tool_choice or "auto"),
        }  # fmt: skip

    def add(self, delta: Delta) -> list[Told]:
        """What the delta adds to the output, and the events that tell so."""
        told: list[Told] = []
        if delta.reasoning:
            told += self._speak(thought, delta.reasoning)
        text = self._held + delta.text
        self._held = ""
        if text.strip() or (text and self._open is not None and self._open.kind == said.kind):
            told += self._speak(said, text, delta)
        elif not delta.tool_calls:
            self._held = text
        for call in delta.tool_calls:
            if call.name:
                told += self._begin(Call(self._id("fc"), call.id, call.name))
            assert isinstance(self._open, Call)
            told += self._at_last(self._open.add(call.arguments))
        self._finish = delta.finish or self._finish
        return told

    def end(self) -> list[Told]:
        """Once the last delta is in."""
        told: list[Told] = []
        if all(item.kind == thought.kind for item in self.output):
            told += self._speak(said, self._held)
        return told + self._close()

    def document(self, status: str, used: TokenUsage | None = None, error: GristmillError | None = None) -> Any:
        """OpenAI's response object; `incomplete` where the answer was cut at its most tokens."""
        cut = status == "completed" and self._finish == "length"
        return self._head | {
            "status": "incomplete" if cut else status,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "error": None if error is None else {"code": "server_error", "message": error.message},
            "output": [item.document() for item in self.output],
            "usage": None if used is None else _usage(used),
        }

    # As events

    def event(self, delta: Delta) -> bytes:
        begun = b""
        if not self._begun:
            self._begun = True
            begun = b"".join(self._event(f"response.{kind}", response=self.document("in_progress"))
                             for kind in ("created", "in_progress"))  # fmt: skip
        return begun + self._events(self.add(delta))

    def last_event(self, used: TokenUsage) -> bytes:
        ended = self._events(self.end())
        document = self.document("completed", used)
        return ended + self._event(f"response.{document['status']}", response=document)

    def broken(self, error: GristmillError) -> bytes:
        """As OpenAI tells it: the response has failed, then the error, which its client raises."""
        told = error_object(error)["error"]
        failed = self._event("response.failed", response=self.document("failed", error=error))
        flat = {"code": told["code"], "message": told["message"], "param": told["param"]}
        return failed + self._event("error", **flat, error=told)

    def _events(self, told: list[Told]) -> bytes:
        return b"".join([self._event(kind, **more) for kind, more in told])

    def _event(self, kind: str, **told: Any) -> bytes:
        data = _json({"type": kind, "sequence_number": self._number, **told})
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    # Items

    @property
    def _open(self) -> Output | None:
        return self.output[-1] if self.output and self.output[-1].status == "in_progress" else None

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._own_id}{len(self.output):02x}"

    def _speak(self, kind: Kind, text: str, delta: Delta | None = None) -> list[Told]:
        told: list[Told] = []
        if self._open is None or self._open.kind != kind.kind:
            told += self._begin(Spoken(self._id(kind.prefix), kind))
        spoken = self._open
        assert isinstance(spoken, Spoken)
        logprobs = delta.logprobs if delta is not None and self._with_logprobs else ()
        return told + self._at_last(spoken.add(text, logprobs))

    def _begin(self, item: Output) -> list[Told]:
        told = self._close()
        self.output.append(item)
        added = {"output_index": len(self.output) - 1, "item": item.document()}
        return [*told, ("response.output_item.added", added), *self._at_last(item.begun())]

    def _close(self) -> list[Told]:
        item = self._open
        if item is None:
            return []
        item.status = "incomplete" if self._finish == "length" else "completed"
        done = {"output_index": len(self.output) - 1, "item": item.document()}
        return [*self._at_last(item.done()), ("response.output_item.done", done)]

    def _at_last(self, told: list[Told]) -> list[Told]:
        """Of the last item: where it stands."""
        place = {"item_id": self.output[-1].id, "output_index": len(self.output) - 1}
        return [(kind, place | more) for kind, more in told]


def _usage(used: TokenUsage) -> dict[str, Any]:
    return {
        "input_tokens": used.prompt, "input_tokens_details": {"cached_tokens": used.cached},
        "output_tokens": used.completion, "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.prompt + used.completion,
    }  # fmt: skip
