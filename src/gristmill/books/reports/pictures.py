"""A report as a picture: bars from zero with their figures, one panel a currency. matplotlib is loaded when asked.

What is nothing is not drawn, and of too many rows the largest are, in their order; how many are left out is said.

Colours are Okabe and Ito's (2008), which people who see few colours tell apart.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

from gristmill.core.errors import Unprocessable
from gristmill.core.money import MICRO
from gristmill.core.reports import ReportName

Rows = list[dict[str, Any]]
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
_MOST_BARS = 20
_ROW_INCHES, _LEAST_INCHES, _WIDTH_INCHES = 0.32, 2.6, 9.0


class Picture(NamedTuple):
    """What is drawn of a row: `columns` side by side or stacked, labelled with the row's `names`.

    `unit`: None for money, which the row's currency names.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]
    stacked: bool = False
    unit: str | None = None


_INPUTS = ("compute_micro", "energy_micro", "data_micro", "people_micro", "storage_micro", "services_micro")
PICTURES: dict[ReportName, Picture] = {
    ReportName.summary: Picture(("balance_micro",), ("account",)),
    ReportName.cost: Picture(_INPUTS, ("version",), stacked=True),
    ReportName.inputs: Picture(("cost_micro",), ("place", "item")),
    ReportName.datasets: Picture(("paid_micro", "waiting_micro", "in_versions_micro"), ("dataset",)),
    ReportName.unit_cost: Picture(("marginal_per_request", "loaded_per_request"), ("version",)),
    ReportName.margin: Picture(
        ("revenue_micro", "marginal_micro", "amortisation_micro", "idle_micro", "margin_micro"),
        ("version", "key", "model"),
    ),
    ReportName.break_even: Picture(("break_even_predictions", "predictions"), ("version",), unit="predictions"),
    ReportName.return_on_rd: Picture(("research_micro", "contribution_micro"), ("model",)),
    ReportName.quality_cost: Picture(("cost_per_point",), ("from", "to")),
    ReportName.experiments: Picture(("cost_micro",), ("name",)),
    ReportName.idle: Picture(("idle_micro",), ("owner",)),
    ReportName.energy: Picture(("kwh",), ("account",), unit="kWh"),
    ReportName.people: Picture(("cost_micro",), ("team", "on")),
    ReportName.budget: Picture(("amount_micro", "used_micro"), ("budget",)),
    ReportName.rate_change: Picture(("old_micro", "new_micro"), ("card", "item")),
}


def draw(document: dict[str, Any], form: str) -> bytes:
    """SVG or PNG of a report; the same rows give the same bytes. Raises Unprocessable where nothing can be drawn."""
    picture = PICTURES.get(document["report"])
    if picture is None:
        drawn = ", ".join(PICTURES)
        raise Unprocessable(
            f"The report {document['report']} has no picture: those that do are {drawn}.", field="format"
        )
    rows = [row for row in document["rows"] if _size(picture, row)]
    if not rows:
        raise Unprocessable(f"The report {document['report']} has nothing to draw yet: leave the picture out.")
    panels = _panels(rows, picture)
    shown = [_largest(picture, part) for _, part in panels]
    matplotlib, figure = _figure([len(part) * _thickness(picture) for part in shown])
    for axes, (unit, part), bars in zip(figure.axes, panels, shown, strict=True):
        _panel(axes, picture, bars, unit, len(part) - len(bars))
    figure.suptitle(f"gristmill books report {document['report']}", fontsize=10, x=0.01, ha="left")
    return _encoded(matplotlib, figure, form)


def _size(picture: Picture, row: dict[str, Any]) -> float:
    return max(abs(_value(column, row)) for column in picture.columns)


def _largest(picture: Picture, rows: Rows) -> Rows:
    sizes = sorted(range(len(rows)), key=lambda place: -_size(picture, rows[place]))
    return [rows[place] for place in sorted(sizes[:_MOST_BARS])]


def _panels(rows: Rows, picture: Picture) -> list[tuple[str, Rows]]:
    if picture.unit is not None:
        return [(picture.unit, rows)]
    currencies = sorted({row["currency"] for row in rows})
    return [(currency, [row for row in rows if row["currency"] == currency]) for currency in currencies]


def _thickness(picture: Picture) -> int:
    return 1 if picture.stacked else len(picture.columns)


def _figure(bars: Sequence[int]) -> tuple[Any, Any]:
    try:
        matplotlib = importlib.import_module("matplotlib")
        figures = importlib.import_module("matplotlib.figure")
    except ImportError:
        raise Unprocessable("Pictures need matplotlib: install it with `pip install 'gristmill[pictures]'`.") from None
    heights = [max(_LEAST_INCHES, 1.4 + _ROW_INCHES * count) for count in bars]
    figure = figures.Figure(figsize=(_WIDTH_INCHES, sum(heights)), layout="constrained")
    figure.subplots(len(bars), 1, height_ratios=heights)
    return matplotlib, figure


def _panel(axes: Any, picture: Picture, rows: Rows, unit: str, left_out: int) -> None:
    columns = [name for name in picture.columns if any(_value(name, row) for row in rows)]
    height = 0.8 if picture.stacked else 0.8 / len(columns)
    above, below = [0.0] * len(rows), [0.0] * len(rows)
    for number, column in enumerate(columns):
        values = [_value(column, row) for row in rows]
        starts = [0.0] * len(rows)
        if picture.stacked:
            starts = [above[i] if value >= 0 else below[i] for i, value in enumerate(values)]
            above = [top + max(value, 0) for top, value in zip(above, values, strict=True)]
            below = [low + min(value, 0) for low, value in zip(below, values, strict=True)]
        shift = 0.0 if picture.stacked else (number - (len(columns) - 1) / 2) * height
        places = [place + shift for place in range(len(rows))]
        bars = axes.barh(places, values, height, starts, color=_COLOURS[number], label=_said(column))
        if not picture.stacked:
            axes.bar_label(bars, [_figures(value) for value in values], padding=3, fontsize=7)
        elif column == columns[-1]:  # the whole, at the end of the pile
            axes.bar_label(
                bars, [_figures(sum(piled)) for piled in zip(above, below, strict=True)], padding=3, fontsize=7
            )
    axes.set_yticks(range(len(rows)), [_label(picture, row) for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    what = unit if len(columns) > 1 or _said(columns[0]) == unit.lower() else f"{_said(columns[0])}, {unit}"
    axes.set_xlabel(f"{what}   ({left_out} smaller rows are not drawn)" if left_out else what, fontsize=9)
    axes.tick_params(axis="x", labelsize=8)
    axes.xaxis.set_major_formatter(lambda value, _: _figures(value))
    axes.margins(x=0.12)  # room for the figures at the bars' ends
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlim(min(0.0, axes.get_xlim()[0]), max(0.0, axes.get_xlim()[1]))
    if len(columns) > 1:
        axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))  # beside: it hides no bar


def _value(column: str, row: dict[str, Any]) -> float:
    value = row.get(column) or 0
    return float(value) / MICRO if column.endswith("_micro") else float(value)


def _figures(value: float) -> str:
    """Three figures, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _said(column: str) -> str:
    return column.removesuffix("_micro").replace("_", " ")


def _label(picture: Picture, row: dict[str, Any]) -> str:
    names = ("tenant", "month", *picture.names)
    return " · ".join(str(row[name]) for name in names if row.get(name)) or "all"


def _encoded(matplotlib: Any, figure: Any, form: str) -> bytes:
    """Without the moment of drawing, and with ids by content."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "gristmill"}):
        figure.savefig(buffer, format=form, dpi=150, metadata={"Date": None} if form == "svg" else None)
    return buffer.getvalue()
