"""What of a use is sold: one list for who bills it and for who keeps it within a budget."""

from __future__ import annotations

from collections.abc import Mapping

TOKEN_CLASSES = ("prompt", "cached", "completion", "reasoning")
SOLD = (
    "serving.request",
    "serving.prediction",
    "serving.explanation",
    *(f"serving.token:{kind}" for kind in TOKEN_CLASSES),
)


def sold(operation: str, requests: int, items: int, tokens: Mapping[str, int]) -> list[tuple[str, int]]:
    """Items of a rate card with their quantities: requests, and the tokens of those that have them, else predictions.

    `items`: rows of the batch dimension; `tokens`: by class, disjoint.
    """
    if operation == "explain":
        return [("serving.explanation", items)]
    read = [(f"serving.token:{kind}", number) for kind, number in sorted(tokens.items())]
    return [("serving.request", requests), *(read or [("serving.prediction", items)])]
