"""Forecasts: where does the next unit of money pay best?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gristmill.client.calls import Call, Document, Steps
from gristmill.client.operation import D, Resource, operation
from gristmill.client.uploads import UPLOAD_TIMEOUT_S

Columns = Mapping[str, Sequence[float | None]]


class Forecasts(Resource[D]):
    @operation
    def data(self, /, columns: Columns, x: Sequence[str], y: str, **more: Any) -> Steps[Document]:
        """The law of runs from elsewhere: L(x), its returns on money, what a target takes.

        More: `at`, `costs` [{name, price, powers}], `currency`, `budget`, `target`, `unique`, `seen`, `served_tokens`,
        `served_by` (a model whose traffic the books know).
        """
        body = {"columns": columns, "x": list(x), "y": y, **more}
        reply = yield Call("POST", "/forecast", json=body, timeout_s=UPLOAD_TIMEOUT_S)
        return reply.document()

    @operation
    def data_as(self, /, format: str, columns: Columns, x: Sequence[str], y: str, **more: Any) -> Steps[bytes]:
        """The fit and its residuals as `svg` or `png`."""
        body = {"columns": columns, "x": list(x), "y": y, **more}
        reply = yield Call("POST", "/forecast", params={"format": format}, json=body, timeout_s=UPLOAD_TIMEOUT_S)
        return reply.body

    @operation
    def model(self, /, model: str, **wanted: Any) -> Steps[Document]:
        """From a model's own versions; wanted: `budget` ("500USD"), `target` ("accuracy=0.95"), `at`, `inputs`."""
        reply = yield Call("GET", f"/models/{model}/forecast", params=wanted, timeout_s=UPLOAD_TIMEOUT_S)
        return reply.document()

    @operation
    def model_as(self, /, format: str, model: str, **wanted: Any) -> Steps[bytes]:
        """The same drawn as `svg` or `png`."""
        params = {**wanted, "format": format}
        reply = yield Call("GET", f"/models/{model}/forecast", params=params, timeout_s=UPLOAD_TIMEOUT_S)
        return reply.body
