"""A forecast as a picture: the fit against the runs, and its residuals by input. matplotlib is loaded when asked."""

from __future__ import annotations

import importlib
import io
from typing import Any

import numpy as np

from gristmill.core.errors import Unprocessable

_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#999999"  # Okabe and Ito (2008)
_INCHES = 4.2
_SALT = "gristmill"  # the same document gives the same bytes


def draw(document: dict[str, Any], form: str) -> bytes:
    """SVG or PNG of an answer. Raises Unprocessable where there is no matplotlib."""
    try:
        figure_module = importlib.import_module("matplotlib.figure")
        matplotlib = importlib.import_module("matplotlib")
    except ImportError:
        raise Unprocessable("Pictures need matplotlib: install gristmill[pictures].") from None
    fitted = "law" in document
    panels = 1 + (len(document["inputs"]) if fitted else 0)
    with matplotlib.rc_context({"svg.hashsalt": _SALT}):
        figure = figure_module.Figure(figsize=(_INCHES * panels, _INCHES), layout="constrained")
        axes = np.atleast_1d(figure.subplots(1, panels))
        if len(document["inputs"]) == 1:
            _curve(axes[0], document)
        else:
            _fit(axes[0], document)
        for axis, name in zip(axes[1:], document["inputs"], strict=False):
            _residuals(axis, document, name)
        file = io.BytesIO()
        figure.savefig(file, format=form, dpi=144, metadata={"Date": None} if form == "svg" else {})
    return file.getvalue()


def _fit(axis: Any, document: dict[str, Any]) -> None:
    """Measured against fitted: on the line where the law holds."""
    fitted, measured = _values(document, "fitted"), _values(document, document["y"])
    ends = [min(fitted.min(), measured.min()), max(fitted.max(), measured.max())]
    axis.plot(ends, ends, color=_GREY, linewidth=1)
    axis.plot(fitted, measured, ".", color=_BLUE)
    axis.set(xscale="log", yscale="log", xlabel=f"{document['y']} of the law", ylabel=f"{document['y']} measured")
    _plain(axis.xaxis, axis.yaxis)
    axis.set_title(f"{document['runs']} runs")


def _curve(axis: Any, document: dict[str, Any]) -> None:
    """Runs along the one input, the law through them, and the forecast with its interval."""
    (name,) = document["inputs"]
    x, measured = _values(document, name), _values(document, document["y"])
    axis.plot(x, measured, ".", color=_BLUE, label="runs")
    curve = document["curve"]
    if "law" in document:
        law = document["law"]
        (term,) = law["terms"]
        along = np.geomspace(x.min(), max(x.max(), curve["at"]), 200)
        height = law["floor"]["value"] + term["coefficient"]["value"] * along ** -term["exponent"]["value"]
        axis.plot(along, height, color=_GREY, linewidth=1, label="law")
    axis.vlines(curve["at"], curve["low"], curve["high"], color=_ORANGE)
    axis.plot([curve["at"]], [curve["value"]], "o", color=_ORANGE, label=f"forecast: {curve['chosen']}")
    axis.set(xscale="log", yscale="log", xlabel=name, ylabel=document["y"])
    _plain(axis.yaxis)
    axis.legend(frameon=False)


def _plain(*axes: Any) -> None:
    """Losses span a decade or less: 2.5 reads better there than 2.5 × 10⁰."""
    ticker = importlib.import_module("matplotlib.ticker")
    for axis in axes:
        axis.set_major_locator(ticker.LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
        axis.set_major_formatter(ticker.FormatStrFormatter("%.3g"))
        axis.set_minor_locator(ticker.NullLocator())


def _residuals(axis: Any, document: dict[str, Any], name: str) -> None:
    error = 100 * (np.log(_values(document, document["y"])) - np.log(_values(document, "fitted")))
    axis.axhline(0, color=_GREY, linewidth=1)
    axis.plot(_values(document, name), error, ".", color=_BLUE)
    axis.set(xscale="log", xlabel=name, ylabel="measured over the law, %", title="residuals")


def _values(document: dict[str, Any], name: str) -> np.ndarray:
    return np.asarray([point[name] for point in document["points"]], np.float64)
