"""What a budget is for: one list for the CLI, the API and the books."""

from __future__ import annotations

from enum import StrEnum


class BudgetPeriod(StrEnum):
    """`total`: once, from its first day on; `monthly`: anew with each month (UTC)."""

    total = "total"
    monthly = "monthly"
