from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from gristmill.control.api.app import create_app
from gristmill.core.errors import Forbidden, Unauthenticated
from tests.api.conftest import Door


def ask(door: Door, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, Any]:
    address = urlsplit(door.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response.status, msgspec.json.decode(data) if data else None, response.headers


def routes(door: Door) -> list[tuple[str, str]]:
    described = create_app(door.platform).openapi()["paths"]
    return [(method.upper(), path) for path, methods in described.items() for method in methods]


def test_every_route_wants_a_key_and_says_how_to_send_it(door: Door) -> None:
    assert len(routes(door)) > 40
    for method, path in [*routes(door), ("GET", "/api/openapi.json"), ("GET", "/no/such/path")]:
        status, answer, headers = ask(door, method, path)
        assert (status, answer["error"]["code"]) == (401, "unauthenticated"), (method, path)
        assert answer["error"]["request_id"] == headers["x-request-id"]
    assert "Authorization: Bearer" in answer["error"]["message"]


def test_the_openapi_document_tells_keys_refusals_and_the_status_of_success(door: Door) -> None:
    document = create_app(door.platform).openapi()
    assert {scheme["type"] for scheme in document["components"]["securitySchemes"].values()} == {"http", "apiKey"}
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    for one in operations:
        assert len(one["security"]) == 2
        assert one["responses"]["4XX"]["content"]["application/json"]["schema"]["$ref"].endswith("/Refusal")
    statuses = {one["operationId"]: next(iter(one["responses"])) for one in operations}
    assert statuses["runs_list_runs"] == "200"
    assert statuses["runs_submit"] == "201"
    assert statuses["endpoints_deploy"] == "202"


def test_health_needs_no_key(door: Door) -> None:
    assert ask(door, "GET", "/healthz")[:2] == (200, {"status": "ok"})


def test_a_key_with_a_typo_is_no_key_and_an_unknown_one_is_a_wrong_one(door: Door) -> None:
    typo = door.key[:-1] + ("A" if door.key[-1] != "A" else "B")
    with door.client(typo) as client, pytest.raises(Unauthenticated):
        client.platform.status()


def test_a_revoked_key_is_refused(door: Door) -> None:
    with door.client() as client:
        made = client.keys.create(name="short-lived", role="developer")
        with door.client(made["token"]) as other:
            other.runs.list()
            client.keys.revoke(made["id"])
            with pytest.raises(Forbidden):
                other.runs.list()


def test_a_consumer_only_calls_endpoints(door: Door, consumer_key: str) -> None:
    with door.client(consumer_key) as client:
        for operation in (client.runs.list, client.keys.list, client.platform.status, client.tenants.list):
            with pytest.raises(Forbidden):
                operation()


def test_a_developer_makes_no_tenant_and_stops_nothing(door: Door) -> None:
    with door.client() as client:
        token = client.keys.create(name="dev", role="developer")["token"]
    with door.client(token) as client:
        with pytest.raises(Forbidden):
            client.tenants.create("rival")
        with pytest.raises(Forbidden):
            client.platform.stop()


def test_another_host_name_is_not_served_so_that_dns_cannot_be_rebound(door: Door) -> None:
    status, answer, _ = ask(door, "GET", "/api/v1/status", host="evil.example", authorization=f"Bearer {door.key}")
    assert (status, answer["error"]["code"]) == (421, "misdirected")


def test_a_page_of_another_origin_cannot_write(door: Door) -> None:
    key = f"Bearer {door.key}"
    status, answer, _ = ask(door, "POST", "/api/v1/stop", b"{}", origin="http://evil.example", authorization=key)
    assert (status, answer["error"]["code"]) == (403, "forbidden")
    assert not door.platform.stopping.is_set()


def test_one_tenant_does_not_see_anothers_things(door: Door, small_csv: Any) -> None:
    with door.client() as client:
        client.tenants.create("acme")
        token = client.keys.create(name="acme-dev", role="developer", tenant="acme")["token"]
        client.datasets.add(small_csv, name="secret")
    status, answer, _ = ask(door, "GET", "/api/v1/datasets/secret", authorization=f"Bearer {token}")
    unknown = ask(door, "GET", "/api/v1/datasets/nothing", authorization=f"Bearer {token}")
    assert (status, unknown[0]) == (404, 404)
    assert answer["error"]["message"].replace("secret", "nothing") == unknown[1]["error"]["message"]
