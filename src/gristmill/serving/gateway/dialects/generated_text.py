"""`POST /models/{m}` of a language model: Hugging Face's text generation, whole or as events."""

from __future__ import annotations

from typing import Any

import msgspec

from gristmill.core.errors import GristmillError
from gristmill.core.generation import Delta, Finish, TokenLogprob
from gristmill.serving.gateway.dialects.openai.answering import Generations, Target
from gristmill.serving.gateway.dialects.text_parameters import Parameters, TextRequest, read_text_request
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.work import Answer, StreamedAnswer

_json = msgspec.json.encode


async def generated_text(request: Request, at: Target) -> Answer | StreamedAnswer:
    """Raises Malformed naming the field."""
    asked = read_text_request(await request.body())
    wanted = asked.generation(at.adapter)
    if wanted.adapter != at.adapter:  # as a parameter, which the path does not name
        at = at._replace(share=request.route(at.model.partition(":")[0]).pick(adapter=wanted.adapter))
    generations = Generations(request, at, [wanted])
    answer = TextAnswer(asked, generations)
    if asked.stream:
        return await generations.events(answer.event, answer.last_event, done=False, broken=error_event)
    await generations.whole(answer.add)
    return generations.reply(answer.document())


def error_body(error: GristmillError) -> bytes:
    return _json({"error": error.message, "error_type": error.code})


def error_event(error: GristmillError) -> bytes:
    return b"data:%b\n\n" % error_body(error)


class TextAnswer:
    def __init__(self, asked: TextRequest, generations: Generations) -> None:
        self._parameters = asked.parameters or Parameters()
        self._generations = generations
        self._text = asked.inputs if self._parameters.return_full_text else ""
        self._tokens: list[TokenLogprob] = []
        self._finish: Finish | None = None
        self._held: dict[str, Any] | None = None  # the last event goes out with what is told at the end

    def add(self, place: int, delta: Delta) -> None:
        self._text += delta.text
        self._tokens += delta.logprobs
        self._finish = delta.finish or self._finish

    def document(self) -> bytes:
        told: dict[str, Any] = {"generated_text": self._text}
        if self._parameters.details:
            told["details"] = {
                **self._ending(),
                "prefill": [],
                "tokens": [_told(one) for one in self._tokens],
                "top_tokens": self._top(self._tokens),
            }
        return _json([told])

    def event(self, place: int, delta: Delta) -> bytes:
        """A token; its text is what is whole with it, so that the texts together are the answer."""
        self.add(place, delta)
        event: dict[str, Any] = {
            "index": len(self._tokens),
            "token": {**_told(delta.logprobs[-1]), "text": delta.text},
            "top_tokens": next(iter(self._top(delta.logprobs)), None),
            "generated_text": None,
            "details": None,
        }
        if delta.finish is not None:
            event["token"]["special"] = self._ended_by_token
            self._held = event
            return b""
        return b"data:%b\n\n" % _json(event)

    def last_event(self) -> bytes:
        if self._held is None:
            return b""
        length = sum(one.prompt for one in self._generations.used())
        ending = self._ending() | {"input_length": length}
        return b"data:%b\n\n" % _json(self._held | {"generated_text": self._text, "details": ending})

    @property
    def _ended_by_token(self) -> bool:
        """Not by a stop string, which would stand in what was written."""
        written = "".join(one.token for one in self._tokens)
        return self._finish is Finish.stop and not any(stop in written for stop in self._parameters.stop or ())

    def _ending(self) -> dict[str, Any]:
        stopped = "eos_token" if self._ended_by_token else "stop_sequence"
        return {
            "finish_reason": "length" if self._finish is Finish.length else stopped,
            "generated_tokens": len(self._tokens),
            "seed": self._parameters.seed,
        }

    def _top(self, tokens: Any) -> list[list[dict[str, Any]]]:
        return [[_told(other) for other in one.top] for one in tokens] if self._parameters.top_n_tokens else []


def _told(one: TokenLogprob) -> dict[str, Any]:
    return {"id": one.id, "text": one.token, "logprob": one.logprob, "special": False}
