"""A call as data, and its reply: what a resource asks for, whoever performs it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, TypeVar

import msgspec

from gristmill.core.errors import ERRORS, GristmillError, Internal, Malformed, from_code

Document = dict[str, Any]
Documents = list[Document]
Plane = Literal["control", "inference"]
T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """One HTTP request. `path` starts behind the plane's root; parameters of None are left out."""

    method: str
    path: str
    plane: Plane = "control"
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    content: bytes | IO[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    save_to: Path | None = None  # stream the reply's body into this file
    timeout_s: float = 60.0


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Raises Internal when the body is no JSON: no Gristmill stands there."""
        try:
            return msgspec.json.decode(self.body) if self.body else {}
        except msgspec.DecodeError:
            raise Internal("What answered is no Gristmill: its answer is not JSON.") from None

    def document(self) -> Document:
        found: Document = self.json()
        return found

    def documents(self) -> Documents:
        found: Documents = self.json()
        return found


def event_of(line: str) -> Document | None:
    """What one line of server-sent events tells; None where it tells nothing. Raises the error that it tells."""
    data = line.removeprefix("data:").strip()
    if data == line.strip() or not data or data == "[DONE]":
        return None
    event: Document = msgspec.json.decode(data)
    if "error" in event:
        raise failure(Reply(500, {}, data.encode()))
    return event


class Pause(NamedTuple):
    """Wait before the next call."""

    seconds: float


class Item(NamedTuple):
    """One of the things that a stream gives, on the way."""

    value: Document


# An operation is written once as a generator: it yields calls, is sent their replies, and returns its result.
Steps = Generator[Call | Pause, Reply, T]
Stream = Generator[Call | Pause | Item, Reply, None]
S = TypeVar("S", Call | Pause, Call | Pause | Item)  # a step of either


def given(steps: Generator[S, Reply, Any], outcome: Reply | GristmillError) -> S:
    """What is asked for next, once the reply or the failure is known. Raises StopIteration with the result at last."""
    return steps.throw(outcome) if isinstance(outcome, GristmillError) else steps.send(outcome)


_BY_STATUS = {cls.status: cls.code for cls in reversed(ERRORS.values())} | {
    400: Malformed.code,
    408: "deadline_exceeded",
}


def failure(reply: Reply) -> GristmillError:
    """The error that a reply of status 400 or more tells, in either plane's form."""
    try:
        told = msgspec.json.decode(reply.body).get("error")
    except (msgspec.DecodeError, AttributeError):
        told = None
    retry_after = reply.headers.get("retry-after", "")
    retry_after_s = float(retry_after) if retry_after.replace(".", "", 1).isdigit() else None
    code = _BY_STATUS.get(reply.status, Internal.code)
    if isinstance(told, dict):
        details = told.get("details") or {}
        return from_code(
            told.get("code") or code, str(told.get("message")), retry_after_s=retry_after_s, **_plain(details)
        )
    message = told if isinstance(told, str) else f"The platform answered with status {reply.status} and no reason."
    return from_code(code, message, retry_after_s=retry_after_s)


def _plain(details: Any) -> Document:
    taken = {"message", "retry_after_s", "code"}
    return {key: value for key, value in details.items() if key not in taken} if isinstance(details, dict) else {}
