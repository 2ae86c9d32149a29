"""Clients that leave, readers that dawdle, replicas that die: the work is freed and what was sent is billed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterable
from typing import Any

import openai

from tests.serving.rig import Rig, eventually

LONG: Any = {"model": "tiny", "prompt": "All is grist", "max_tokens": 230, "n": 64, "ignore_eos": True, "stream": True}


def opened(served: Rig, body: dict[str, Any]) -> socket.socket:
    """A client that has sent its request and reads nothing by itself."""
    connection = socket.create_connection(("127.0.0.1", served.port))
    data = json.dumps(body).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {served.key}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    connection.sendall(head.encode() + data)
    return connection


def new_records(served: Rig, before: set[str], count: int = 1) -> list[Any]:
    found: list[Any] = eventually(
        lambda: len(new := [one for one in served.records() if one.id not in before]) >= count and new, 10
    )
    return found


def test_a_client_that_leaves_frees_its_work_and_pays_for_what_it_took(served: Rig) -> None:
    before = {record.id for record in served.records()}
    client = opened(served, LONG)
    client.recv(1000)
    client.close()
    (record,) = new_records(served, before)
    assert record.operation == "generate"
    assert 0 < record.tokens["completion"] < 64 * 230


def test_readers_that_do_not_read_keep_nobody_waiting(served: Rig, client: openai.OpenAI) -> None:
    dawdlers = [opened(served, LONG | {"n": 1}) for _ in range(64)]
    try:
        answer = client.completions.create(model="tiny", prompt="The books", max_tokens=20)
        assert answer.usage is not None
    finally:
        for dawdler in dawdlers:
            dawdler.close()
    eventually(lambda: client.completions.create(model="tiny", prompt="x", max_tokens=1), 30)


def test_a_replica_that_dies_in_mid_stream_is_told_as_an_event_and_others_begin_again(
    served: Rig, client: openai.OpenAI
) -> None:
    eventually(lambda: _in_flight(served) == 0, 30)  # of the tests before: a busy replica would get no stream
    before = {record.id for record in served.records()}
    whole: list[int] = []

    def ask() -> None:
        answer = client.completions.create(model="tiny", prompt="Sacks", max_tokens=30, extra_body={"ignore_eos": True})
        whole.append(answer.usage.completion_tokens if answer.usage else 0)

    streams = [client.completions.create(**_sdk(LONG | {"logprobs": 0})) for _ in range(2)]  # one a replica
    received = [_tokens(next(stream)) for stream in streams]
    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    time.sleep(0.02)
    os.kill(served.workers[0].process.pid, signal.SIGKILL)
    ends = [_end(stream) for stream in streams]
    told = [reason for reason, _ in ends if reason]
    for thread in asking:
        thread.join()
    assert len(told) == 1
    assert "died" in told[0]
    assert whole == [30] * 4
    billed = [one.tokens["completion"] for one in new_records(served, before, 6) if one.status == 200]
    taken = [first + rest for first, (_, rest) in zip(received, ends, strict=True)]
    assert sorted(billed) == sorted([30] * 4 + taken)  # what each client has, and no token more
    assert min(taken) < 64 * 230 == max(taken)
    served.wait_ready()


def _in_flight(served: Rig) -> int:
    lines = served.get("/metrics").body.decode().splitlines()
    return sum(int(line.rpartition(" ")[2]) for line in lines if line.startswith("gristmill_in_flight{"))


def _end(stream: Iterable[Any]) -> tuple[str, int]:
    """Why it broke off, "" when it did not, and how many tokens came before."""
    tokens = 0
    try:
        for chunk in stream:
            tokens += _tokens(chunk)
    except openai.APIError as error:
        return str(error), tokens
    return "", tokens


def _tokens(chunk: Any) -> int:
    return sum(len(choice.logprobs.tokens) for choice in chunk.choices if choice.logprobs)


def _sdk(body: dict[str, Any]) -> dict[str, Any]:
    own = dict(body)
    return own | {"extra_body": {"ignore_eos": own.pop("ignore_eos")}} if "ignore_eos" in own else own


def test_a_deadline_that_passes_in_mid_stream_is_an_error_event_and_frees_the_work(served: Rig) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    headers = {
        "authorization": f"Bearer {served.key}",
        "content-type": "application/json",
        "x-request-timeout-ms": "60",
    }
    connection.request("POST", "/v1/completions", json.dumps(LONG), headers)
    response = connection.getresponse()
    text = response.read().decode()
    if response.status == 200:
        last = json.loads(text.strip().splitlines()[-1].removeprefix("data: "))
        assert "deadline" in last["error"]["message"].lower()
    else:
        assert response.status == 504
    connection.close()


def test_another_dialect_says_where_a_language_model_answers(served: Rig) -> None:
    answer = served.request("POST", "/v1/models/tiny:predict", {"instances": ["x"]})
    assert answer.status == 422
    assert "/v1/chat/completions" in answer.body.decode()
