"""`POST /v1/completions`."""

from __future__ import annotations

from typing import Any

import msgspec

from gristmill.core.errors import Malformed
from gristmill.core.generation import Delta, GenerationRequest, TokenLogprob
from gristmill.serving.gateway.dialects.openai import logprobs
from gristmill.serving.gateway.dialects.openai.answering import Generations, Target, now, target, usage_document
from gristmill.serving.gateway.dialects.openai.parameters import Completion, read
from gristmill.serving.gateway.dialects.openai.refusals import unsupported
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.work import Answer, StreamedAnswer

MOST_PROMPTS = 256
_DEFAULT_TOKENS = 16  # OpenAI's
_json = msgspec.json.encode


async def completions(request: Request) -> Answer | StreamedAnswer:
    asked = read(await request.body(), Completion)
    at = target(request, asked.model)
    prompts = _prompts(asked)
    generations = Generations(request, at, [generation(asked, at, prompt) for prompt in prompts])
    answer = CompletionAnswer(asked, request.record_id, prompts, generations)
    if asked.stream:
        return await generations.events(answer.event, answer.last_event)
    await generations.whole(answer.add)
    return generations.reply(answer.document())


def _prompts(asked: Completion) -> list[str | list[int]]:
    given = asked.prompt
    prompts = given if isinstance(given, list) and given and not isinstance(given[0], int) else [given]
    if not all(isinstance(prompt, str) or _are_tokens(prompt) for prompt in prompts):
        raise Malformed("Invalid 'prompt': a prompt is a text or a list of token ids.", field="prompt",
                        reason="invalid_type")  # fmt: skip
    if not all(prompts) or len(prompts) > MOST_PROMPTS:
        raise Malformed(f"prompt should be 1 to {MOST_PROMPTS} texts, none of them empty.", field="prompt")
    if asked.best_of is not None and asked.best_of != (asked.n or 1):
        raise unsupported("best_of is not done here: ask for n and choose.", "best_of")
    _check_echo(asked, prompts)
    return prompts


def _check_echo(asked: Completion, prompts: list[str | list[int]]) -> None:
    if asked.max_tokens == 0 and (not asked.echo or asked.logprobs is None):
        raise Malformed("max_tokens of 0 writes nothing: ask for echo with logprobs too.", field="max_tokens")
    if asked.echo and asked.logprobs is None and not isinstance(prompts[0], str):
        raise Malformed("echo of token ids needs logprobs.", field="echo")
    if asked.echo and asked.logprobs is not None and (asked.presence_penalty or asked.frequency_penalty):
        raise Malformed("echo with logprobs takes no penalties on what was written.", field="echo")


def _are_tokens(prompt: Any) -> bool:
    return isinstance(prompt, list) and all(type(token) is int for token in prompt)


def generation(asked: Completion, at: Target, prompt: str | list[int]) -> GenerationRequest:
    """One of a completion's prompts."""
    return GenerationRequest(
        prompt=prompt,
        adapter=at.adapter,
        n=asked.n or 1,
        max_tokens=_DEFAULT_TOKENS if asked.max_tokens is None else asked.max_tokens,
        stop=asked.stops(),
        sampling=asked.sampling(),
        logprobs=asked.logprobs,
        ignore_eos=asked.ignore_eos,
        echo=bool(asked.echo) and asked.logprobs is not None,
    )


class _Choice:
    def __init__(self, echoed: str) -> None:
        self.text = echoed
        self.logprobs: list[TokenLogprob] = []
        self.finish: str | None = None


class CompletionAnswer:
    def __init__(
        self, asked: Completion, record_id: str, prompts: list[str | list[int]], generations: Generations
    ) -> None:
        self._n = asked.n or 1
        self._with_logprobs = asked.logprobs is not None
        self._with_usage = asked.stream_options is not None and asked.stream_options.include_usage
        self._generations = generations
        echoed = [str(prompt) if asked.echo and not self._with_logprobs else "" for prompt in prompts]
        self._choices = [_Choice(text) for text in echoed for _ in range(self._n)]
        self._unechoed = {index for index, choice in enumerate(self._choices) if choice.text}
        self._head = {"id": f"cmpl-{record_id}", "object": "text_completion", "created": now(), "model": asked.model}
        self._before = b"data: " + _json(self._head)[:-1] + b',"choices":[{"index":'

    def add(self, place: int, delta: Delta) -> None:
        choice = self._choices[place * self._n + delta.choice]
        choice.text += delta.text
        choice.logprobs += delta.logprobs
        choice.finish = delta.finish or choice.finish

    def document(self) -> bytes:
        choices = [
            {
                "index": index,
                "text": choice.text,
                "logprobs": logprobs.of_completion(choice.logprobs, 0) if self._with_logprobs else None,
                "finish_reason": choice.finish,
            }
            for index, choice in enumerate(self._choices)
        ]
        return _json({**self._head, "choices": choices, "usage": usage_document(self._generations.used())})

    def event(self, place: int, delta: Delta) -> bytes:
        index = place * self._n + delta.choice
        choice = self._choices[index]
        text = delta.text
        if index in self._unechoed:
            self._unechoed.discard(index)
            text = choice.text + text
        told = b"null"
        if self._with_logprobs:
            told = _json(logprobs.of_completion(delta.logprobs, len(choice.text)))
            choice.text += text
        finish = b'"%b"' % delta.finish.encode() if delta.finish is not None else b"null"
        return b'%b%d,"text":%b,"logprobs":%b,"finish_reason":%b}]}\n\n' % (
            self._before, index, _json(text), told, finish,
        )  # fmt: skip

    def last_event(self) -> bytes:
        if not self._with_usage:
            return b""
        document = {**self._head, "choices": [], "usage": usage_document(self._generations.used())}
        return b"data: %b\n\n" % _json(document)
