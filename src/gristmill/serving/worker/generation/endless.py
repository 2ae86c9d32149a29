"""JSON schemas that no finite value fits, because each value would have to hold another of its own kind."""

from __future__ import annotations

from typing import Any


def is_endless(schema: dict[str, Any]) -> bool:
    """As a linked list whose next is required. What is not understood counts as finite: the grammar has its say."""
    finite: set[str] = set()
    references = {str(node["$ref"]) for node in _nodes(schema) if "$ref" in node}
    while found := {one for one in references - finite if _ends(_resolved(schema, one), finite)}:
        finite |= found
    return not _ends(schema, finite)


def _ends(node: Any, finite: set[str]) -> bool:
    """Whether a value of this node can end, given the references of which some value can."""
    if not isinstance(node, dict):
        return True
    choices = [part for key in ("anyOf", "oneOf") for part in [node.get(key)] if isinstance(part, list) and part]
    return (
        ("$ref" not in node or str(node["$ref"]) in finite)
        and all(any(_ends(one, finite) for one in choice) for choice in choices)
        and all(_ends(part, finite) for part in _needed(node))
    )


def _needed(node: dict[str, Any]) -> list[Any]:
    """The schemas of the parts that every value of this node has."""
    parts = list(node["allOf"]) if isinstance(node.get("allOf"), list) else []
    properties, required, least = node.get("properties"), node.get("required"), node.get("minItems")
    if node.get("type", "object") == "object" and isinstance(properties, dict) and isinstance(required, list):
        parts += [properties.get(str(name)) for name in required]
    if node.get("type", "array") == "array" and isinstance(least, int) and least > 0:
        first = node.get("prefixItems")
        parts += first[:least] if isinstance(first, list) else [node.get("items")]
    return parts


def _resolved(schema: Any, reference: str) -> Any:
    if not reference.startswith("#"):
        return None
    for step in reference[1:].split("/")[1:]:
        schema = schema.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(schema, dict) else None
    return schema


def _nodes(node: Any) -> list[dict[str, Any]]:
    below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [*([node] if isinstance(node, dict) else []), *(one for part in below for one in _nodes(part))]
