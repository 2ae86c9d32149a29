"""How figures read: times, sizes, durations, money, intervals."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gristmill.core.money import format_micro


def moment(timestamp: float | str | None) -> str:
    """Seconds since the epoch → the time in UTC to the second: `2026-11-29 14:10:51Z`, as in the books and the logs."""
    if timestamp is None:
        return "–"
    if isinstance(timestamp, str):
        return timestamp
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def utc(timestamp: float) -> str:
    """The same; at midnight, where the books' days begin, the day alone."""
    return moment(timestamp).removesuffix(" 00:00:00Z")


def size(count: float | None) -> str:
    """Bytes → `1.5 MiB`."""
    if count is None:
        return "–"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def duration(seconds: float | None) -> str:
    """Seconds → `850 ms`, `12.3 s`, `4 min 05 s`, `2 h 03 min`."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def money(micro: int | None, currency: str | None = "USD") -> str:
    """Micro-units → `0.0042 USD`; None is unknown, never zero."""
    return "unpriced" if micro is None else f"{format_micro(micro)} {currency or ''}".rstrip()


def reference(name: str, version: int | str | None) -> str:
    return name if version is None else f"{name}@{version}"


def interval(value: Any) -> str:
    """A figure of a report: a number, or `{"value", "low", "high"}` → `0.972 [0.951, 0.990]`."""
    if isinstance(value, dict):
        point = value.get("value", value.get("estimate"))
        low, high = value.get("low"), value.get("high")
        return f"{point:.4g}" if low is None or high is None else f"{point:.4g} [{low:.4g}, {high:.4g}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


SHOWN = ("accuracy", "f1", "auc", "mase", "mae", "rmse", "r2")  # of all metrics, those that a line has room for


def tested(metrics: dict[str, Any]) -> str:
    """A version's figures on the rows that training never saw."""
    return ", ".join(f"{name} {interval(metrics[f'test/{name}'])}" for name in SHOWN if f"test/{name}" in metrics)
