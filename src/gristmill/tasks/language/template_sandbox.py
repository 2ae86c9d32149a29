"""Jinja's sandbox with a bound on the size of every value: it bounds what a template reaches, not what it makes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from jinja2 import TemplateError, nodes, pass_eval_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.filters import do_join
from jinja2.sandbox import ImmutableSandboxedEnvironment

MOST_CHARACTERS = 4_000_000  # and items, of one value with all that it holds
_MOST_BITS = 4096
_OF_TEXT = frozenset((
    "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdecimal", "isdigit",
    "islower", "isnumeric", "isspace", "istitle", "isupper", "join", "lower", "lstrip", "partition", "removeprefix",
    "removesuffix", "replace", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines",
    "startswith", "strip", "swapcase", "title", "upper",
))  # fmt: skip
# filters that make as much as they are told to
_WITHOUT = ("batch", "center", "format", "indent", "pprint", "round", "wordwrap")


def check_size(*values: Any) -> None:
    """Raises SecurityError where they hold more than is bounded, whatever is inside of what, counted as often as it
    stands there."""
    left, held = MOST_CHARACTERS, list(values)
    while held:
        value = held.pop()
        left -= 1 + (len(value) if isinstance(value, str | bytes) else 0)
        if isinstance(value, Mapping):
            held += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            held += value
        if left < len(held):
            raise SecurityError("it makes too much")


class _Generator(CodeGenerator):
    """What a template puts together is checked as it comes to be."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        self.write("environment.concatenated((")
        for one in node.nodes:
            self.visit(one, frame)
            self.write(", ")
        self.write("))")

    def visit_List(self, node: nodes.List, frame: Frame) -> None:  # noqa: N802
        self._checked(super().visit_List, node, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802
        self._checked(super().visit_Dict, node, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:  # noqa: N802
        if node.ctx == "load":
            self._checked(super().visit_Tuple, node, frame)
        else:
            super().visit_Tuple(node, frame)

    def _checked(self, visit: Any, node: nodes.Node, frame: Frame) -> None:
        self.write("environment.checked(")
        visit(node, frame)
        self.write(")")


class Sandbox(ImmutableSandboxedEnvironment):
    """With the names that Hugging Face's templates count on."""

    code_generator_class = _Generator
    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"], finalize=self.checked
        )
        for name in _WITHOUT:
            del self.filters[name]
        self.filters |= {"tojson": _json, "replace": _replaced, "join": _joined, "string": self.checked_text}
        self.globals["raise_exception"] = _raise
        self.globals["strftime_now"] = lambda form: datetime.now().strftime(str(form)[:100])

    @staticmethod
    def checked(value: Any) -> Any:
        if not isinstance(value, str) or len(value) > MOST_CHARACTERS:
            check_size(value)
        return value

    @staticmethod
    def checked_text(value: Any) -> str:
        check_size(value)
        return str(value)

    @staticmethod
    def concatenated(parts: tuple[Any, ...]) -> str:
        check_size(parts)
        return "".join(map(str, parts))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**":
            raise SecurityError("it uses `**`")
        if operator == "%" and isinstance(left, str):
            raise SecurityError("it formats with `%`")
        if operator == "*":
            _check_product(left, right)
        if operator == "+" and all(hasattr(one, "__len__") for one in (left, right)):
            _check_length(len(left) + len(right))
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str | bytes | int | float | complex):
            return isinstance(obj, str) and attr in _OF_TEXT
        return super().is_safe_attribute(obj, attr, value)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if isinstance(owner, str) and name == "replace":
            return _replaced(owner, *args, **kwargs)
        if isinstance(owner, str) and name == "join":
            return owner.join(_items(owner, *args))
        return super().call(__context, __obj, *args, **kwargs)


def _check_product(left: Any, right: Any) -> None:
    if isinstance(left, str) or isinstance(right, str):
        text, times = (left, right) if isinstance(left, str) else (right, left)
        _check_length(len(text) * times if isinstance(times, int) else 0)
    elif not all(isinstance(one, int | float) for one in (left, right)):
        raise SecurityError("it repeats a list")
    elif isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > _MOST_BITS:
        raise SecurityError("it makes too large a number")


def _check_length(length: int) -> None:
    if length > MOST_CHARACTERS:
        raise SecurityError("it makes too much")


def _replaced(given: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, old, new = str(given), str(old), str(new)
    _check_length(len(text) + text.count(old) * len(new))
    return text.replace(old, new, -1 if count is None else count)


def _items(between: str, values: Iterable[Any]) -> list[Any]:
    found = list(islice(values, MOST_CHARACTERS))
    check_size(found)
    _check_length(len(between) * len(found))
    return found


@pass_eval_context
def _joined(context: Any, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    joined: str = do_join(context, _items(str(d), value), d, attribute)
    return joined


def _raise(message: object) -> None:
    raise TemplateError(str(message)[:500])


def _json(value: Any, indent: int | None = None, **_: Any) -> str:
    check_size(value)
    return json.dumps(value, ensure_ascii=False, indent=None if indent is None else max(0, min(int(indent), 8)))
