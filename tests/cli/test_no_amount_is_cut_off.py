"""A table that is wider than the terminal goes on below it: what is left of a cropped amount is another amount."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from gristmill.cli import output
from gristmill.cli.books_views import invoice_view


def test_an_invoice_on_a_narrow_terminal_has_whole_amounts(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=printed, width=60, markup=False, highlight=False))
    line = {"endpoint": "wine", "version": "wine@1", "item": "serving.explanation", "quantity": 1.0, "unit": "",
            "price": "5 USD/1k_explanations", "currency": "USD", "amount_micro": 1_234_001_650}  # fmt: skip
    invoice = {"number": "GM-2026-11-mill", "lines": [line], "notes": "", "totals": [
        {"currency": "USD", "total_micro": 1_234_001_650, "payable": "1234.00"}]}  # fmt: skip
    output.show(invoice, False, invoice_view)
    assert "1234.00165 USD" in printed.getvalue()
