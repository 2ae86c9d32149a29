"""Messages → the text that a chat model was trained on, by the template that came with the model.

A template is a stranger's program: it runs in Jinja's sandbox, with a bound on its steps and on what it writes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from jinja2 import TemplateError
from jinja2.exceptions import SecurityError

from gristmill.core.errors import Malformed, Unprocessable
from gristmill.tasks.language.template_sandbox import MOST_CHARACTERS, Sandbox

CHAT_TEMPLATE = "chat_template.jinja"
_LONGEST = 1_000_000  # characters of a template; models' own have a few thousand, and each is compiled
_MOST_STEPS = 1_000_000  # lines of the compiled template; a long chat takes some ten thousand
_PROBE = "a_tool_that_no_template_names"


class ChatTemplate:
    """Compiled once, rendered for every chat."""

    def __init__(self, source: str, beginning: str = "", end: str = "") -> None:
        """Raises Unprocessable when it is no template."""
        if len(source) > _LONGEST:
            raise Unprocessable(f"The chat template has {len(source)} characters, more than {_LONGEST}.",
                                field=CHAT_TEMPLATE)  # fmt: skip
        self.source = source
        self._names = {"bos_token": beginning, "eos_token": end}
        try:
            self._template = _ENVIRONMENT.from_string(source)
        except (TemplateError, RecursionError) as error:
            raise Unprocessable(
                f"The chat template is no Jinja template: {_reason(error)}.", field=CHAT_TEMPLATE
            ) from None

    @classmethod
    def open(cls, folder: Path, beginning: str, end: str) -> ChatTemplate | None:
        """Of the file in `folder`; None where there is none."""
        path = folder / CHAT_TEMPLATE
        return cls(path.read_text(errors="replace"), beginning, end) if path.is_file() else None

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        arguments: Mapping[str, Any] | None = None,
        answer: bool = True,
    ) -> str:
        """The prompt; `answer`: it ends where the model's answer begins.

        Raises Malformed with the template's own reason when it does not take these messages.
        """
        told = {
            **(arguments or {}), **self._names, "messages": list(messages), "tools": list(tools) or None,
            "documents": None, "add_generation_prompt": answer,
        }  # fmt: skip
        try:
            with _bounded():
                return self._written(told)
        except (TemplateError, SecurityError) as error:
            raise Malformed(f"The model's chat template refuses these messages: {_reason(error)}.",
                            field="messages") from None  # fmt: skip
        except (TypeError, ValueError, KeyError, AttributeError, IndexError, ArithmeticError, RecursionError):
            raise Malformed("The model's chat template cannot render these messages: use roles and contents as the "
                            "model's card shows them.", field="messages") from None  # fmt: skip

    def _written(self, told: dict[str, Any]) -> str:
        parts, size = [], 0
        for part in self._template.generate(told):
            size += len(part)
            if size > MOST_CHARACTERS:
                raise SecurityError("it writes too much")
            parts.append(part)
        return "".join(parts)

    def takes_tools(self) -> bool:
        """Whether a tool that is offered appears in what it writes."""
        tool = {"type": "function", "function": {"name": _PROBE, "description": "", "parameters": {"type": "object"}}}
        try:
            return _PROBE in self.render([{"role": "user", "content": "?"}], tools=[tool])
        except Malformed:
            return False


@contextmanager
def _bounded() -> Iterator[None]:
    """Ends a loop that goes on for ever: Jinja's sandbox bounds what is reached, not how long it takes."""
    left = _MOST_STEPS

    def step(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise SecurityError("it does not end")
        return step

    before = sys.gettrace()
    sys.settrace(step)
    try:
        yield
    finally:
        sys.settrace(before)


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().rstrip(".")[:300]


_ENVIRONMENT = Sandbox()
