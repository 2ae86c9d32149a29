"""Columns that follow from others, as published tables need them: `D=C/(6*N)`, `1-accuracy`."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gristmill.core.errors import Unprocessable

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_LONGEST = 200  # characters: so that none nests deeper than Python reads, nor holds a number that no float does
_PLACE = "column_of_place_"
_COLUMN = re.compile(r"\ue000(\d+)\ue001")  # a private-use pair: stands for a column, whose name may hold anything


class Formula(NamedTuple):
    """`label` names what `text` gives; `columns` are the ones it takes."""

    label: str
    columns: tuple[str, ...]
    tree: ast.expr

    def of(self, row: Sequence[float]) -> float:
        """From the values of `columns`, in their order. Raises ZeroDivisionError."""
        return _value(self.tree, dict(zip(self.columns, row, strict=True)))


def label(text: str) -> str:
    """What a column or formula is called."""
    return text.partition("=")[0].strip()


def formula(text: str, header: Sequence[str]) -> Formula:
    """Of numbers and columns of `header` (case aside), joined by + - * / and brackets. Raises Unprocessable."""
    body = text.partition("=")[2] or text
    if len(body) > _LONGEST:
        raise Unprocessable(f"A formula has at most {_LONGEST} characters, and {body[:20]!r}… has {len(body)}.")
    there = {f"{_PLACE}{place}": name for place, name in enumerate(header)}
    marked = _marked(body, header)
    try:
        tree = ast.parse(_COLUMN.sub(rf"{_PLACE}\1", marked), mode="eval").body
    except (SyntaxError, ValueError):
        raise Unprocessable(f"{body.strip()!r} is no formula of columns, as 1-accuracy or C/(6*N) are.") from None
    taken = tuple(dict.fromkeys(_names(tree, there, body, header)))
    if not taken:
        raise Unprocessable(f"{body.strip()!r} takes no column: there are {', '.join(header)}.")
    return Formula(label(text), taken, _renamed(tree, there))


def _marked(body: str, header: Sequence[str]) -> str:
    """Names of columns, the longest first, become marks that no name can hold."""
    for place in sorted(range(len(header)), key=lambda one: -len(header[one])):
        name = re.escape(header[place].strip())
        if name:
            body = re.sub(rf"(?<![\w\ue000]){name}(?![\w\ue001])", f"\ue000{place}\ue001", body, flags=re.IGNORECASE)
    return body.strip()


def _names(tree: ast.expr, there: dict[str, str], body: str, header: Sequence[str]) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            if node.id not in there:
                raise Unprocessable(
                    f"There is no column {node.id!r} for {body.strip()!r}: there are {', '.join(header)}.", got=node.id
                )
            found.append(there[node.id])
        elif isinstance(node, ast.Constant):
            if not isinstance(node.value, int | float) or isinstance(node.value, bool):
                raise Unprocessable(f"{node.value!r} in {body.strip()!r} is neither a number nor a column.")
        elif not isinstance(node, (ast.BinOp, ast.Load, *_OPERATORS)):
            raise Unprocessable(f"{body.strip()!r} may hold numbers, columns, + - * / and brackets alone.")
    return found


def _renamed(tree: ast.expr, there: dict[str, str]) -> ast.expr:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = there[node.id]
    return tree


def _value(node: ast.expr, row: dict[str, float]) -> float:
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left, row), _value(node.right, row))
    if isinstance(node, ast.Name):
        return row[node.id]
    return float(ast.literal_eval(node))
