"""An invoice as a page to read and as a page to print."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from gristmill.core.errors import Unprocessable
from gristmill.core.money import format_micro

_FONT = "dejavu"  # comes with matplotlib: Latin, Greek, Cyrillic, Arabic, signs of currencies
_COLUMNS = ("endpoint", "version", "item", "quantity", "price", "amount")
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:3rem auto;padding:0 1rem;color:#1b1b1b}"
    "table{border-collapse:collapse;width:100%;margin:1.5rem 0}th,td{padding:.35rem .6rem;text-align:left;"
    "border-bottom:1px solid #ddd}td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}"
    "footer{color:#666;font-size:.9em}"
)


def as_html(invoice: dict[str, Any]) -> bytes:
    """One page without script, image or link."""
    head = "".join(f"<th{_right(name)}>{name}</th>" for name in _COLUMNS)
    lines = "".join(
        "<tr>" + "".join(f"<td{_right(name)}>{escape(text)}</td>" for name, text in row.items()) + "</tr>"
        for row in map(_cells, invoice["lines"])
    )
    totals = "".join(f"<p><strong>Payable: {escape(text)}</strong></p>" for text in _totals(invoice))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Invoice {escape(invoice["number"])}</title>'
        f"<style>{_STYLE}</style><h1>Invoice {escape(invoice['number'])}</h1>"
        f"<p>{escape(_period(invoice))}</p><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
        f"{totals}<footer>{escape(invoice['notes'])}</footer></html>"
    ).encode()


def as_pdf(invoice: dict[str, Any]) -> bytes:
    """A4. Raises Unprocessable where the extra `books` is not installed, and for letters that its font lacks."""
    try:
        import matplotlib
        from fpdf import FPDF
        from fpdf.enums import TextEmphasis
        from fpdf.fonts import FontFace
    except ImportError:
        raise Unprocessable("A PDF needs fpdf2: pip install 'gristmill[books]'.", field="format") from None
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    pdf = FPDF(format="A4")
    for style, file in (("", "DejaVuSans.ttf"), ("B", "DejaVuSans-Bold.ttf")):
        pdf.add_font(_FONT, style, fonts / file)
    pdf.set_title(f"Invoice {invoice['number']}")
    pdf.add_page()
    pdf.set_font(_FONT, "B", 16)
    pdf.cell(text=f"Invoice {invoice['number']}", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font(_FONT, size=8)
    pdf.cell(text=_period(invoice), new_x="LMARGIN", new_y="NEXT")
    pdf.ln(4)
    aligned = tuple("RIGHT" if _right(name) else "LEFT" for name in _COLUMNS)
    bold = FontFace(emphasis=TextEmphasis.B)
    with pdf.table(col_widths=(16, 20, 26, 14, 30, 18), text_align=aligned, headings_style=bold) as table:
        table.row(_COLUMNS)
        for line in invoice["lines"]:
            table.row(list(_cells(line).values()))
    pdf.ln(4)
    pdf.set_font(_FONT, "B", 11)
    for text in _totals(invoice):
        pdf.cell(text=f"Payable: {text}", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font(_FONT, size=8)
    pdf.multi_cell(0, text=invoice["notes"])
    _refuse_blanks(pdf.fonts.values())
    return bytes(pdf.output())


def _refuse_blanks(fonts: Iterable[Any]) -> None:
    """A letter without a glyph would be an empty box on what somebody has to pay."""
    lacking = ", ".join(sorted({repr(chr(letter)) for font in fonts for letter in font.missing_glyphs}))
    if lacking:
        raise Unprocessable(f"The PDF's font has no {lacking}: write the invoice as .html.", field="format")


def _period(invoice: dict[str, Any]) -> str:
    return f"{invoice['tenant']}, {invoice['since'][:10]} until {invoice['until'][:10]} (UTC, the last day excluded)"


def _cells(line: dict[str, Any]) -> dict[str, str]:
    amount = "not priced" if line["price"] is None else f"{format_micro(line['amount_micro'])} {line['currency']}"
    quantity = f"{line['quantity']:,.0f}" if float(line["quantity"]).is_integer() else f"{line['quantity']:,}"
    return {
        "endpoint": line["endpoint"],
        "version": line["version"],
        "item": line["item"],
        "quantity": quantity,
        "price": line["price"] or "-",
        "amount": amount,
    }


def _totals(invoice: dict[str, Any]) -> list[str]:
    return [f"{total['payable']} {total['currency']}" for total in invoice["totals"]] or ["nothing"]


def _right(name: str) -> str:
    return ' class="number"' if name in ("quantity", "amount") else ""
