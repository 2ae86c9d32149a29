"""A request's tokens: its messages by the model's own template, or its text, or the tokens themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gristmill.core.errors import Malformed
from gristmill.core.generation import GenerationRequest, LanguageFacts
from gristmill.serving.worker.generation.segments import MARKS, Kind
from gristmill.tasks.language.chat_template import ChatTemplate
from gristmill.tasks.language.tokenizer import LanguageTokenizer


class Prompt(NamedTuple):
    tokens: list[int]
    inside: Kind  # what the answer begins in: a template may open the model's thought itself


class Prompts:
    def __init__(self, tokenizer: LanguageTokenizer, template: ChatTemplate | None, facts: LanguageFacts) -> None:
        self._tokenizer, self._template, self._facts = tokenizer, template, facts

    def read(self, asked: GenerationRequest) -> Prompt:
        """Raises Malformed naming the field."""
        self._check(asked.sampling.logit_bias, "logit_bias")
        if asked.messages is not None:
            return self._chat(asked)
        prompt = asked.prompt or ()
        tokens = self._tokenizer.encode(prompt) if isinstance(prompt, str) else list(prompt)
        if not tokens:
            raise Malformed("The prompt is empty: there is nothing to go on from.", field="prompt")
        self._check(tokens, "prompt")
        return Prompt(tokens, Kind.answer)

    def _check(self, tokens: Iterable[int], field: str) -> None:
        strange = next((token for token in tokens if not 0 <= token < self._facts.vocabulary), None)
        if strange is not None:
            raise Malformed(f"The token {strange} of {field} is not in the vocabulary of {self._facts.vocabulary}.",
                            field=field, got=strange)  # fmt: skip

    def _chat(self, asked: GenerationRequest) -> Prompt:
        if self._template is None:
            raise Malformed("The model has no chat template: send a prompt to /v1/completions.", field="messages")
        text = self._rendered(asked, self._template)
        opened = text.rstrip().endswith(MARKS[Kind.reasoning][0])
        tokens = self._tokenizer.encode(text, rendered=True)
        if not tokens:
            raise Malformed("The messages are empty: there is nothing to answer.", field="messages")
        return Prompt(tokens, Kind.reasoning if opened else Kind.answer)

    def _rendered(self, asked: GenerationRequest, template: ChatTemplate) -> str:
        tools = asked.tools if asked.tool_choice != "none" else []
        return template.render(asked.messages or [], tools=tools, arguments=asked.template_arguments)

    def said(self, asked: GenerationRequest, prompt: Prompt) -> list[bool]:
        """Of each token of the prompt, whether somebody said it: a template's own words are nobody's."""
        if asked.messages is None or self._template is None:
            return [True] * len(prompt.tokens)
        text = self._rendered(asked, self._template)
        at, places = 0, []
        for message in asked.messages:
            content = str(message.get("content") or "").strip()
            found = text.find(content, at)
            if content and found >= 0:
                at = found + len(content)
                places.append((found, at))
        return [any(start < end and stop > begin for begin, end in places)
                for start, stop in self._tokenizer.offsets(text)]  # fmt: skip

    def most_new(self, asked: GenerationRequest, prompt: Prompt) -> int:
        """How many tokens the answer may have. Raises Malformed when the context has no room for them."""
        field = "messages" if asked.messages is not None else "prompt"
        room = self._facts.context_length - len(prompt.tokens)
        wanted = max(room, 1) if asked.max_tokens is None else asked.max_tokens
        if wanted > room:
            raise Malformed(
                f"This model's context length is {self._facts.context_length} tokens, and {len(prompt.tokens)} in the "
                f"{field} and {wanted} in the answer are more: shorten the {field} or ask for fewer.",
                field=field, reason="context_length_exceeded",
            )  # fmt: skip
        return wanted


def check_echo(tokens: Sequence[int], most: int, ends: frozenset[int]) -> None:
    """Raises Malformed where the prompt cannot come again token by token."""
    if len(tokens) + most < 2:
        raise Malformed("A prompt of one token has no log probability: ask for max_tokens of 1.", field="max_tokens")
    if not ends.isdisjoint(tokens[1:]):
        raise Malformed("The prompt holds a token that ends a text: echo with logprobs takes none.", field="prompt")
