"""`/v1/responses` and what stands below it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec

from gristmill.core.errors import GristmillError, Malformed, NotFound
from gristmill.core.generation import TokenUsage
from gristmill.serving.gateway.dialects.openai.answering import Generations, target
from gristmill.serving.gateway.dialects.openai.chat import generation
from gristmill.serving.gateway.dialects.openai.parameters import read
from gristmill.serving.gateway.dialects.openai.responses.answer import ResponseAnswer
from gristmill.serving.gateway.dialects.openai.responses.asked import Counted, Item, Response
from gristmill.serving.gateway.dialects.openai.responses.conversation import as_chat, as_input, own_items
from gristmill.serving.gateway.dialects.openai.responses.stored import Responses
from gristmill.serving.gateway.request import Request
from gristmill.serving.gateway.work import Answer, Reply, StreamedAnswer

PATH = "/v1/responses"
_COUNTED = f"{PATH}/input_tokens"
_MOST_LISTED = 100
_json = msgspec.json.encode


async def responses(request: Request) -> Answer | StreamedAnswer:
    """By method and path. Raises NotFound, Malformed, and what a chat raises."""
    if request.method == "POST" and request.path == PATH:
        return await _create(request)
    if request.method == "POST" and request.path == _COUNTED:
        return await _count(request)
    id, _, below = request.path.removeprefix(f"{PATH}/").partition("/")
    if request.method == "GET" and below == "input_items":
        return _json_answer(_listed(Responses(request).find(id).items, request))
    if request.method == "GET" and not below:
        _check_query(request, ())
        return Answer(Reply(Responses(request).find(id).document), "")
    if request.method == "DELETE" and not below:
        Responses(request).delete(id)
        return _json_answer({"id": id, "object": "response", "deleted": True})
    raise NotFound(f"There is no {request.method} at this path.")


async def _create(request: Request) -> Answer | StreamedAnswer:
    asked = read(await request.body(), Response)
    at, kept = target(request, asked.model), Responses(request)
    store = kept.wanted(asked)
    items = [*kept.conversation(asked), *own_items(asked)]
    answer = ResponseAnswer(asked, request.record_id, store=store)

    def used() -> TokenUsage:
        (one,) = generations.used()
        return one

    def last() -> bytes:
        ended = answer.last_event(used())
        if store:
            kept.keep(answer, at.share.pool.endpoint.name, items, answer.document("completed", used()))
        return ended

    try:
        generations = Generations(request, at, [generation(as_chat(asked, items), at)])
        if asked.stream:
            return await generations.events(
                lambda _, delta: answer.event(delta), last, done=False, broken=answer.broken
            )
        await generations.whole(lambda _, delta: answer.add(delta))
    except GristmillError as error:
        error.details["field"] = as_input(error.details.get("field"), asked, items)
        raise
    answer.end()
    document = answer.document("completed", used())
    if store:
        kept.keep(answer, at.share.pool.endpoint.name, items, document)
    return generations.reply(_json(document))


async def _count(request: Request) -> Answer:
    asked = read(await request.body(), Counted)
    at = target(request, asked.model)
    items = [*Responses(request).conversation(asked), *own_items(asked)]
    try:
        told = await request.tokenize(at.share, generation(as_chat(asked, items), at))
    except GristmillError as error:
        error.details["field"] = as_input(error.details.get("field"), asked, items)
        raise
    count = msgspec.json.decode(told)["count"]
    return _json_answer({"object": "response.input_tokens", "input_tokens": count}, at.share.pool.version.model)


def _listed(items: list[Item], request: Request) -> dict[str, Any]:
    """OpenAI's page of a list: the newest first, 20 of them."""
    asked = _check_query(request, ("after", "limit", "order", "include"))
    limit, order = asked.get("limit", "20"), asked.get("order", "desc")
    if not limit.isdecimal() or not 1 <= int(limit) <= _MOST_LISTED:
        raise Malformed(f"limit should be a whole number from 1 to {_MOST_LISTED}.", field="limit")
    if order not in ("asc", "desc"):
        raise Malformed("order is asc or desc.", field="order")
    ordered = items if order == "asc" else items[::-1]
    ids = [item.id for item in ordered]
    if "after" in asked and asked["after"] not in ids:
        raise Malformed(f"There is no item {asked['after']!r} in this list.", field="after")
    rest = ordered[ids.index(asked["after"]) + 1 :] if "after" in asked else ordered
    page = rest[: int(limit)]
    data = [_shown(item) for item in page]
    return {"object": "list", "data": data, "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None, "has_more": len(page) < len(rest)}  # fmt: skip


def _shown(item: Item) -> dict[str, Any]:
    """As OpenAI's client reads it: contents of messages in parts."""
    shown: dict[str, Any] = msgspec.to_builtins(item) | {"type": item.type, "status": item.status or "completed"}
    if item.type == "message" and isinstance(item.content, str):
        kind = "output_text" if item.role == "assistant" else "input_text"
        shown["content"] = [{"type": kind, "text": item.content} | ({"annotations": []} if kind[0] == "o" else {})]
    return shown


def _check_query(request: Request, known: tuple[str, ...]) -> dict[str, str]:
    given = dict(parse_qsl(request.query, keep_blank_values=True))
    strange = next((name for name in given if name.removesuffix("[]") not in known), None)
    if strange is not None:
        raise Malformed(f"Unknown parameter: {strange!r}.", field=strange)
    return given


def _json_answer(document: dict[str, Any], model: str = "") -> Answer:
    return Answer(Reply(_json(document)), model)
