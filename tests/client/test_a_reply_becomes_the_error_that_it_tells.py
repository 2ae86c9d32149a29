from __future__ import annotations

import msgspec
import pytest

from gristmill.client.calls import Reply, failure
from gristmill.core.errors import ERRORS, Conflict, CorruptBundle, Internal, Malformed, Unavailable, Unprocessable


def reply(status: int, body: object, **headers: str) -> Reply:
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, msgspec.json.encode(body))


def test_the_control_planes_error_object_comes_back_whole() -> None:
    told = {"code": "corrupt_bundle", "message": "It is not.", "details": {"file": "weights/a"}, "request_id": "r"}
    error = failure(reply(500, {"error": told}))
    assert isinstance(error, CorruptBundle)
    assert (error.message, error.details["file"]) == ("It is not.", "weights/a")


@pytest.mark.parametrize(
    ("status", "kind"), [(400, Malformed), (409, Conflict), (422, Unprocessable), (500, Internal), (503, Unavailable)]
)
def test_a_plain_sentence_takes_its_kind_from_the_status(status: int, kind: type) -> None:
    error = failure(reply(status, {"error": "Not so."}, retry_after="2"))
    assert type(error) is kind
    assert (error.message, error.retry_after_s) == ("Not so.", 2.0)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": null}', b'{"error": {"details": 3}}'])
def test_whatever_a_proxy_says_is_an_error_and_no_crash(body: bytes) -> None:
    assert failure(Reply(502, {}, body)).message


def test_every_code_has_a_class() -> None:
    for code, kind in ERRORS.items():
        assert type(failure(reply(kind.status, {"error": {"code": code, "message": "m"}}))) is kind
