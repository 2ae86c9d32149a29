"""Responses that are kept: for `previous_response_id`, and to be read and deleted by who made them."""

from __future__ import annotations

from typing import Any

import msgspec

from gristmill.core.errors import Malformed, NotFound
from gristmill.serving.gateway.dialects.openai.responses.answer import ResponseAnswer
from gristmill.serving.gateway.dialects.openai.responses.asked import Counted, Item, Response
from gristmill.serving.gateway.kept import Kept
from gristmill.serving.gateway.request import Request

_NOTHING_KEPT = "This installation keeps no responses"


class Stored(msgspec.Struct, frozen=True):
    endpoint: str  # that answered: a key which may not call it may not read it either
    items: list[Item]  # of the conversation up to the answer
    output: list[Item]
    document: bytes  # as it was answered, JSON


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Stored).decode


class Responses:
    """Those of one caller's tenant."""

    def __init__(self, request: Request) -> None:
        self._request, self._kept = request, request.kept_responses

    def wanted(self, asked: Response) -> bool:
        """Raises Malformed where it cannot be."""
        if asked.store and not self._kept:
            raise Malformed(f"{_NOTHING_KEPT}: leave 'store' out, and send a conversation whole.", field="store")
        return bool(self._kept) and asked.store is not False

    def conversation(self, asked: Counted) -> list[Item]:
        """What was said before the input. Raises Malformed."""
        id = asked.previous_response_id
        if id is None:
            return []
        stored = self._read(id)
        if stored is None:
            sentence = f"{_NOTHING_KEPT}" if not self._kept else f"There is no response {id!r} here"
            raise Malformed(f"{sentence}: send the conversation whole as 'input'.", field="previous_response_id",
                            reason="previous_response_not_found")  # fmt: skip
        return [*stored.items, *stored.output]

    def keep(self, answer: ResponseAnswer, endpoint: str, items: list[Item], document: Any) -> None:
        """Raises StorageFull."""
        output = msgspec.convert(document["output"], list[Item])
        stored = Stored(endpoint, _named(items, answer.id), output, msgspec.json.encode(document))
        self._kept.put(self._name(answer.id), _encode(stored))

    def find(self, id: str) -> Stored:
        """Raises NotFound: as unknown as any other where it is not the caller's."""
        stored = self._read(id)
        if stored is None:
            raise NotFound(f"There is no response {id!r} here.", field="response_id")
        return stored

    def delete(self, id: str) -> None:
        self.find(id)
        self._kept.remove(self._name(id))

    def _read(self, id: str) -> Stored | None:
        data = self._kept.get(self._name(id))
        if data is None:
            return None
        stored, scopes = _decode(data), self._request.key.scopes
        return stored if not scopes or stored.endpoint in scopes else None

    def _name(self, id: str) -> str:
        return Kept.name(self._request.key.tenant, id)


def _named(items: list[Item], id: str) -> list[Item]:
    """Each with an id, as its list is read by."""
    own_id = id.removeprefix("resp_")
    return [
        item if item.id is not None else msgspec.structs.replace(item, id=f"in_{own_id}{place:04x}")
        for place, item in enumerate(items)
    ]
