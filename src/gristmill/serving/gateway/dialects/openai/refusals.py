"""What a body does not fit, in OpenAI's words: the sentence, the parameter and the code that its clients know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import inspect

from gristmill.core.errors import Malformed

_PLACE = re.compile(r" - at (?:`key` in )?`\$\.?(.*)`$")
_UNKNOWN = re.compile(r"unknown field `(.+?)`")
_MISSING = re.compile(r"required field `(.+?)`")
_BOUND = re.compile(r"Expected `(\w+)`( of length)? ([<>])=? ([\d.-]+)")
_CHOICE = re.compile(r"Invalid enum value (.+)$")
_KINDS = {"int": "integer", "float": "decimal", "str": "string", "array": "array", "object": "object"}


def refused(told: str, kind: type) -> Malformed:
    """Of what msgspec says of a body that is no `kind`."""
    place = _PLACE.search(told)
    inside = place[1].removesuffix("[...]") if place else ""
    reason = _PLACE.sub("", told)
    if found := _UNKNOWN.search(reason):
        name = _joined(inside, found[1])
        return Malformed(f"Unknown parameter: {name!r}.", field=name, reason="unknown_parameter")
    if found := _MISSING.search(reason):
        return missing(_joined(inside, found[1]))
    field = inside or "body"
    if found := _CHOICE.match(reason):
        known = ", ".join(map(repr, _supported(kind, inside)))
        return Malformed(f"Invalid {field!r}: {found[1]} is none of {known}.", field=field, reason="invalid_value")
    return Malformed(f"Invalid {field!r}: {reason[:1].lower()}{reason[1:]}.", field=field, reason=_code(reason))


def missing(field: str) -> Malformed:
    return Malformed(f"Missing required parameter: {field!r}.", field=field, reason="missing_required_parameter")


def unsupported(sentence: str, field: str) -> Malformed:
    """A parameter that this model, or this server, has nothing for."""
    return Malformed(sentence, field=field, reason="unsupported_parameter")


def _joined(inside: str, name: str) -> str:
    return f"{inside}.{name}" if inside else name


def _code(reason: str) -> str:
    bound = _BOUND.match(reason)
    if bound is None:
        return "invalid_type" if ", got `" in reason else "invalid_value"
    kind = _KINDS.get(bound[1], bound[1])
    if not bound[2]:
        return f"{kind}_{'above_max' if bound[3] == '<' else 'below_min'}_value"
    if bound[3] == ">":
        return f"empty_{kind}" if bound[4] == "1" else f"{kind}_below_min_length"
    return f"{kind}_above_max_{'properties' if kind == 'object' else 'length'}"


def _supported(kind: type, path: str) -> list[Any]:
    """What may stand at the path `messages[0].role` of a `kind`."""
    found = list(_parts(inspect.type_info(kind)))
    for name in re.sub(r"\[[^]]*\]", "", path).split("."):
        fields = [field for one in found if isinstance(one, inspect.StructType) for field in one.fields]
        found = [part for field in fields if field.encode_name == name for part in _parts(field.type)]
    return [value for one in found if isinstance(one, inspect.LiteralType) for value in one.values]


def _parts(kind: inspect.Type) -> Iterator[inspect.Type]:
    """What a value, or an element of a list, may be."""
    if isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from _parts(one)
    elif isinstance(kind, inspect.ListType):
        yield from _parts(kind.item_type)
    else:
        yield kind
