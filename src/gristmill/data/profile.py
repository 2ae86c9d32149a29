"""The profile of a dataset version: what stands in each column, and what to be wary of. JSON-able, without NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from gristmill.data.splits import Indices, leaks

Columns = dict[str, np.ndarray]
_TOP = 10
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def profile(columns: Columns, target: str | None, groups: np.ndarray, parts: Indices) -> dict[str, Any]:
    rows = len(groups)
    described = {name: describe(values) for name, values in columns.items()}
    duplicates = rows - len(np.unique(groups))
    document: dict[str, Any] = {
        "rows": rows,
        "duplicates": duplicates,
        "splits": {name: len(indices) for name, indices in parts.items()},
        "columns": described,
    }
    if target is not None and target in described:
        document["target"] = {"name": target, **described[target]}
    document["warnings"] = _warnings(document, leaks(groups, parts))
    return document


def describe(values: np.ndarray) -> dict[str, Any]:
    """Type, missing values and distribution of one column."""
    if values.ndim == 4:
        return {"type": "image", "size": list(values.shape[1:]), "mean": round(float(values.mean()), 4),
                "std": round(float(values.std()), 4), "missing": 0}  # fmt: skip
    if values.dtype == object:
        return _describe_text(values)
    flat = values.reshape(-1).astype(np.float64)
    known = flat[~np.isnan(flat)]
    document: dict[str, Any] = {
        "type": "integer" if values.dtype.kind in "iu" else "number",
        "missing": len(flat) - len(known),
    }
    if len(known):
        quantiles = np.quantile(known, _QUANTILES).tolist()
        document |= {name: float(getattr(known, name)()) for name in ("min", "max", "mean", "std")}
        document["quantiles"] = dict(zip(map(str, _QUANTILES), quantiles, strict=True))
    distinct, counts = np.unique(known, return_counts=True)
    document["distinct"] = len(distinct)
    if values.dtype.kind in "iu" and len(distinct) <= 100:
        document["values"] = {f"{value:g}": int(count) for value, count in zip(distinct, counts, strict=True)}
    return document


def _describe_text(values: np.ndarray) -> dict[str, Any]:
    known = [
        value if isinstance(value, str) else value.decode("utf-8", "replace") for value in values if value is not None
    ]
    distinct, counts = np.unique(np.asarray(known), return_counts=True)
    lengths = np.asarray([len(value) for value in known])
    top = np.argsort(-counts, kind="stable")[:_TOP]
    document = {
        "type": "category" if len(distinct) <= max(100, len(known) // 20) else "text",
        "missing": len(values) - len(known),
        "distinct": len(distinct),
        "length": {"min": int(lengths.min()), "mean": round(float(lengths.mean()), 2), "max": int(lengths.max())},
        "top": {str(distinct[place])[:80]: int(counts[place]) for place in top},
    }
    if len(distinct) <= 100:
        document["values"] = {str(value): int(count) for value, count in zip(distinct, counts, strict=True)}
    return document


def _warnings(document: dict[str, Any], leaked: int) -> list[str]:
    warnings = []
    if document["duplicates"]:
        warnings.append(f"{document['duplicates']} rows repeat the inputs of another row.")
    if leaked:
        warnings.append(f"{leaked} validation or test rows have the same inputs as a training row.")
    for name, column in document["columns"].items():
        if column.get("distinct") == 1:
            warnings.append(f"Column {name!r} has the same value in every row.")
        if column["missing"]:
            warnings.append(f"Column {name!r} has {column['missing']} missing values.")
    counts = (document.get("target") or {}).get("values")
    if counts and len(counts) > 1 and max(counts.values()) > 10 * min(counts.values()):
        warnings.append(f"The classes are out of balance: from {min(counts.values())} to {max(counts.values())} rows.")
    return warnings
