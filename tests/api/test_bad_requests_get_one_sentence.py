from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.conftest import Door
from tests.api.test_only_those_who_may_come_in import ask, routes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def send(door: Door, method: str, path: str, body: bytes | None) -> tuple[int, dict[str, str]]:
    headers = {"authorization": f"Bearer {door.key}", "content_type": "application/json"}
    status, answer, _ = ask(door, method, path, body, **headers)
    return status, (answer or {}).get("error", {}) if isinstance(answer, dict) else {}


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/datasets", b'{"name": ', 400, "not valid JSON"),
        ("/datasets", b"", 400, "is empty"),
        ("/datasets", b"{}", 422, "'name' is missing"),
        ("/datasets", b'{"name": "a", "upload": "b", "colour": 1}', 422, "no field 'colour'"),
        ("/datasets", b'{"name": "../etc", "upload": "b"}', 422, "name"),
        ("/datasets", b'{"name": "a", "upload": "sha256:00"}', 404, "no such upload"),
        ("/datasets", b"[1]", 422, "should be a JSON object"),
        ("/datasets", b"[" * 50_000, 400, "not JSON that can be read"),
        ("/runs", b'{"kind": "dance"}', 422, "one of train, evaluate, import, export"),
        ("/runs", b'{"kind": "train"}', 422, "`recipe`"),
        ("/runs", b'{"kind": "train", "recipe": {"name": "a", "taks": "b"}}', 422, "task"),
        ("/endpoints/digits/deploy", b'{"version": "none@1"}', 404, "none@1"),
        ("/books/hours", b'{"who": "me", "hours": -1, "on": "run:x"}', 422, "hours"),
        ("/keys", b'{"name": "a", "role": "god"}', 422, "god"),
        ("/keys", b'{"name": "a\\u0000"}', 422, "printable"),
        ("/uploads", b"", 422, "empty"),
    ],
)
def test_what_is_wrong_is_named(door: Door, path: str, body: bytes, status: int, says: str) -> None:
    got, error = send(door, "POST", f"/api/v1{path}", body)
    assert (got, says in error["message"]) == (status, True), error


def test_a_body_that_is_not_json_is_415(door: Door) -> None:
    for media in ("application/x-pickle", "text/plain", ""):
        headers = {"authorization": f"Bearer {door.key}"} | ({"content_type": media} if media else {})
        status, answer, _ = ask(door, "POST", "/api/v1/runs", b"\x80\x04.", **headers)
        assert (status, answer["error"]["code"]) == (415, "unsupported_media_type")


def test_numbers_in_paths_and_queries_are_read_or_named(door: Door) -> None:
    huge = "9" * 40
    for path in (f"/models/a/versions/{huge}", f"/datasets/a/versions/{huge}"):
        assert send(door, "GET", f"/api/v1{path}", None)[0] == 404
    status, error = send(door, "GET", "/api/v1/datasets/a/versions/latest", None)
    assert (status, error["message"]) == (422, "The field 'version' should be a whole number.")


def test_an_unknown_path_is_not_found_and_says_where_to_look(door: Door) -> None:
    status, error = send(door, "GET", "/api/v1/modles", None)
    assert status == 404
    assert "/api/openapi.json" in error["message"]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_no_json_at_all_makes_the_controller_fail(door: Door, data: st.DataObject) -> None:

    writing = [path for method, path in routes(door) if method == "POST" and not path.endswith(("/stop", "/uploads"))]
    path = data.draw(st.sampled_from(writing))
    for name in ("endpoint", "model", "version", "run", "dataset", "key", "alias"):
        path = path.replace("{" + name + "}", "1")
    status, error = send(door, "POST", path, msgspec.json.encode(data.draw(JSON)))
    assert status < 500, (path, error)
    assert status < 400 or error["message"].endswith((".", "?")), error
