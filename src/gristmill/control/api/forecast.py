"""Where the next unit of money pays best: for data from elsewhere, and for a model from the tenant's own books."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from gristmill.books.forecast.process import ask
from gristmill.books.forecast.question import Question
from gristmill.control.api.answers import Json
from gristmill.control.api.context import Developer, Here
from gristmill.control.forecasts.history import Wanted, history, told
from gristmill.control.forecasts.traffic import served_tokens
from gristmill.core.errors import Unprocessable

router = APIRouter()


class Form(StrEnum):
    json = "json"
    svg = "svg"
    png = "png"


_MEDIA = {Form.json: "application/json", Form.svg: "image/svg+xml", Form.png: "image/png"}
AsForm = Annotated[Form, Query(alias="format")]


@router.post("/forecast")
def of_data(asked: dict[str, Any], here: Here, by: Developer, form: AsForm = Form.json) -> Response:
    """The law of runs given as columns of numbers; see books.forecast.question.Question.

    `served_by`, in place of `served_tokens`: a model whose traffic of the last year is taken from the books.
    """
    served_by = asked.pop("served_by", None)
    if served_by is not None:
        asked["served_tokens"] = _traffic(here, by.tenant, str(served_by), asked)
    try:
        question = msgspec.convert(asked, Question)
    except msgspec.ValidationError as error:
        raise Unprocessable(f"The forecast that is asked for is not valid: {error}.") from None
    answered = ask(question, form)
    if form != Form.json or served_by is None:
        return Response(answered, media_type=_MEDIA[form])
    document = msgspec.json.decode(answered)
    source = f"what {served_by} computed in the last 365 days, from the books"
    return Json(document | {"optimum": document["optimum"] | {"source": source}})


def _traffic(here: Here, tenant: str, model: str, asked: dict[str, Any]) -> float:
    if "served_tokens" in asked:
        raise Unprocessable(
            "`served_by` takes the tokens from the books: leave `served_tokens` out.", field="served_by"
        )
    with here.database.read() as connection:
        return served_tokens(connection, tenant, model, here.clock.now())


@router.get("/models/{model}/forecast")
def of_model(
    model: str,
    here: Here,
    by: Developer,
    budget: str | None = None,
    target: str | None = None,
    at: Annotated[list[str] | None, Query()] = None,
    inputs: Annotated[list[str] | None, Query()] = None,
    form: AsForm = Form.json,
) -> Response:
    """From the model's own versions and what they cost. `at`: rows=5000; `inputs`: rows, parameters, passes, people."""
    wanted = Wanted(budget, target, tuple(at or ()), tuple(inputs or ()))
    found = history(here, by.tenant, model, wanted)
    answered = ask(found.question, form)
    if form != Form.json:
        return Response(answered, media_type=_MEDIA[form])
    return Json(told(found, msgspec.json.decode(answered)))
