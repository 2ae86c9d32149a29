"""Return on R&D: what each model's serving brought in, against all that was put into it, failures included."""

from __future__ import annotations

from typing import Any

from gristmill.books.accounts import EXPERIMENTS
from gristmill.books.reports.loading import serving
from gristmill.books.reports.scope import Scope
from gristmill.books.reports.table import Cells, found, share

_PUT_IN = {"assets:version:": "capitalised_micro", EXPERIMENTS: "experiments_micro", "idle:run:": "run_idle_micro"}
_EARNED = ("contribution_micro", "endpoint_idle_micro")
_NOTES = (
    "R&D = capitalised in versions + experiments + idle of runs, ever; the days asked for narrow what was earned.",
    "contribution = revenue - marginal cost, as in the reports margin and break-even; net = contribution - idle of "
    "endpoints - R&D; return = net / R&D.",
)


def report(scope: Scope) -> dict[str, Any]:
    cells = Cells((*_PUT_IN.values(), *_EARNED))
    for account, column in _PUT_IN.items():
        for row in scope.money(("model",), account, ever=True):
            cells.add((row["model"], row["currency"]), column, row["micro"])
    for (version, currency), values in serving(scope):
        model = version.partition("@")[0]
        cells.add((model, currency), "contribution_micro", values["revenue_micro"] - values["marginal_micro"])
        cells.add((model, currency), "endpoint_idle_micro", values["idle_micro"])
    rows = []
    for (model, currency), values in cells:
        research = sum(values[column] for column in _PUT_IN.values())
        net = values["contribution_micro"] - values["endpoint_idle_micro"] - research
        if model and any(values.values()):
            row = {"model": model, "currency": currency, **values, "research_micro": research, "net_micro": net}
            rows.append(row | {"return_share": share(net, research)})
    return found("return-on-rd", rows, _NOTES)
