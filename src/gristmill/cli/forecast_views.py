"""How a forecast reads in a terminal: the law, what it says of here, of the next unit of money, of a target."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from gristmill.cli.formats import interval
from gristmill.cli.output import Fields, table, title

Document = dict[str, Any]
_SIZES, _POWERS = "ABCD", "αβγδ"


def forecast_view(document: Document) -> RenderableType:
    parts: list[RenderableType] = []
    for view in (_curve, _law, _repeated, _returns, _search, _spent, _earnings, _reach, _optimum, _plan):
        parts += view(document)
    notes = [Text(note, style="dim") for note in document.get("notes", ())]
    return Group(*parts, *notes)


def _place(document: Document) -> str:
    return ", ".join(f"{name} = {value:,.6g}" for name, value in document["at"].items())


def _curve(document: Document) -> list[RenderableType]:
    if "curve" not in document:
        return []
    curve = document["curve"]
    said = f"{document['y']} at {_place(document)}: {interval(curve)} by {curve['chosen']} (90 %)"
    return [said, *([curve["refused"]] if curve["refused"] else [])]


def _law(document: Document) -> list[RenderableType]:
    if "law" not in document:
        return []
    law = document["law"]
    rows = [{"what": "E, the floor", **law["floor"]}]
    terms = []
    for size, power, term in zip(_SIZES, _POWERS, law["terms"], strict=False):
        rows.append({"what": f"{size}, coefficient of {term['input']}", **term["coefficient"]})
        rows.append({"what": f"{power}, exponent of {term['input']}", **term["exponent"]})
        terms.append(f"{size}/{term['input']}^{power}")
    product = "·".join(term["input"] for term in law["terms"])
    for letter, one in zip("ab", law.get("optimal", ()), strict=False):
        rows.append({"what": f"{letter}: best {one['input']} ∝ ({product})^{letter}", **one["exponent"]})
    fields: Fields = {"PARAMETER": "what", "VALUE [95 %]": interval}
    parts: list[RenderableType] = [title(f"{document['y']} = E + {' + '.join(terms)}, from {document['runs']} runs")]
    parts.append(table(rows, fields))
    if "forecast" in document:
        parts.append(f"{document['y']} at {_place(document)}: {interval(document['forecast'])}")
    return parts


def _repeated(document: Document) -> list[RenderableType]:
    """How much rows seen again are worth; where that is assumed, a note says why."""
    found = document.get("repeated", {"refused": "nothing is repeated"})
    if found["refused"] is not None:
        return []
    return [f"{found['input']} seen again: R* = {interval(found)} (95 %), fitted to these runs"]


def _returns(document: Document) -> list[RenderableType]:
    if "returns" not in document:
        return []
    money = document["currency"]
    fields: Fields = {
        "INPUT": "input",
        f"{document['y']} LESS PER {money} [95 %]": interval,
        "BEST WITH": lambda row: f"{row['probability_best']:.0%}",
    }
    if "earns" in document["returns"][0]:
        fields = {**fields, f"{money} A DAY PER {money} [95 %]": lambda row: interval(row["earns"])}
    return ["", title(document["verdict"]), table(document["returns"], fields)]


def _search(document: Document) -> list[RenderableType]:
    fields: Fields = {"BEST OF RUNS": "runs", f"EXPECTED {document['y']} [95 %]": interval}
    return ["", table(document["search"], fields)] if "search" in document else []


def _earnings(document: Document) -> list[RenderableType]:
    """What a point of quality is worth; where the books do not show it, a note says why."""
    earnings = document.get("earnings", {"refused": "not asked"})
    if earnings["refused"] is not None:
        return []
    said = f"{interval(earnings)} {earnings['currency']} a day (95 %), by {earnings['versions']} versions in the books"
    return ["", f"A point of quality ({earnings['point']:g} of {document['y']}) earned {said}."]


def _spent(document: Document) -> list[RenderableType]:
    fields: Fields = {
        "BUDGET INTO": "input",
        "FROM": lambda row: f"{row['now']:,.6g}",
        "TO": lambda row: f"{row['then']:,.6g}",
        f"{document['y']} THEN [95 %]": lambda row: interval(row | {"value": row["loss"]}),
    }
    if "spent" not in document:
        return []
    if "earns" in document["spent"][0]:
        fields = {**fields, f"{document['currency']} MORE A DAY": lambda row: f"{row['earns']:,.4g}"}
    return ["", table(document["spent"], fields)]


def _reach(document: Document) -> list[RenderableType]:
    fields: Fields = {
        "TARGET BY": "input",
        "NEEDED": lambda row: "not by this alone" if row["value"] is None else f"{row['value']:,.6g}",
        "95 %": lambda row: f"{_end(row['low'])} to {_end(row['high'])}",
        "REACHED WITH": lambda row: f"{row['probability']:.0%}",
    }
    return ["", table(document["reach"], fields)] if "reach" in document else []


def _optimum(document: Document) -> list[RenderableType]:
    fields: Fields = {
        "OPTIMUM": "what",
        "PARAMETERS": lambda row: f"{row['parameters']:.4g}",
        "TOKENS": lambda row: f"{row['tokens']:.4g}",
        "LOSS": lambda row: f"{row['loss']:.4g}",
        "FLOP": lambda row: f"{row['flop']:.4g}",
    }
    found = document.get("optimum", {})
    rows = [{"what": key.replace("_", " "), **found[key]} for key in ("for_compute", "for_target") if key in found]
    if not rows:
        return []
    served = f"{found['served_tokens']:,.4g} tokens to be served"
    return ["", table(rows, fields), f"With {served}: {found['source']}." if "source" in found else f"With {served}."]


def _plan(document: Document) -> list[RenderableType]:
    if "plan" not in document:
        return []
    plan = document["plan"]
    fields: Fields = {
        "RUN": lambda row: ", ".join(f"{name} {value:,.4g}" for name, value in row["x"].items()),
        f"COST {document['currency']}": lambda row: f"{row['cost']:.4g}",
        "DEVIATIONS APART": lambda row: f"{row['separation']:.2f}",
    }
    between = " and ".join(plan["between"])
    if not plan["decides"]:
        reached = plan["runs"][-1]["separation"] if plan["runs"] else 0.0
        said = f"No {len(plan['runs'])} runs near here would decide between {between}"
        return ["", f"{said}: they leave the difference {reached:.2f} standard deviations from 0, and 1.96 are needed."]
    if not plan["runs"]:
        return ["", f"Run by run {plan['between'][0]} pays better all the same: no run is needed to decide."]
    said = f"The cheapest runs that should decide between {between}"
    return ["", f"{said}: {plan['cost']:.4g} {document['currency']}.", table(plan["runs"], fields)]


def _end(value: float | None) -> str:
    return "∞" if value is None else f"{value:,.4g}"
