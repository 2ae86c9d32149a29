"""What clients may do to a gateway that serves gRPC by nghttp2: send more than is taken, or nothing, or junk."""

from __future__ import annotations

import os
import random
import socket
import time
from pathlib import Path
from typing import Any

import ngh2
import psutil
import pytest

from tests.running import free_port
from tests.serving.rig import Rig, eventually, make_bundle, rig
from tests.serving.rpc import SERVICE, Caller, raw_request

ROWS = [[1.0, 2.0, 3.0, 4.0]]
MESSAGE = raw_request(ROWS).SerializeToString()
FRAMED = b"\0" + len(MESSAGE).to_bytes(4, "big") + MESSAGE


class Client:
    """HTTP/2 by hand: what is sent and when, and every header that came back, by stream."""

    def __init__(self, served: Rig, key: str | None = None) -> None:
        self._socket = socket.create_connection(("127.0.0.1", served.grpc_port), timeout=30)
        self.http = ngh2.Connection(ngh2.Role.CLIENT)
        self.http.initiate_connection()
        self._authority = [(b"authorization", f"Bearer {key}".encode())] if key else []
        self.told: dict[int, dict[bytes, bytes]] = {}
        self.ended: set[int] = set()
        self.closed = False

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(self, *data: bytes, last: bool = True, method: str = "ModelInfer", **headers: str) -> int:
        """Each of `data` in a frame and a packet of its own."""
        path = f"/{SERVICE}/{method}".encode()
        said = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"x"), (b":path", path)]
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        number = self.http.send_request([*said, (b"content-type", b"application/grpc"), *self._authority, *named])
        for place, part in enumerate(data):
            self.http.send_data(number, part, end_stream=last and place == len(data) - 1)
            self.flush()
        return number

    def flush(self) -> None:
        while sent := self.http.data_to_send():
            try:
                self._socket.sendall(sent)
            except OSError:
                self.closed = True
                return

    def hear(self, within_s: float = 0.2) -> None:
        """Take what comes within the time."""
        self._socket.settimeout(within_s)
        try:
            data = self._socket.recv(2**16)
        except TimeoutError:
            return
        except OSError:
            data = b""
        self.closed = self.closed or not data
        self.http.receive_data(data)
        for event in self.http.events():
            if isinstance(event, ngh2.ResponseReceived | ngh2.TrailersReceived):
                self.told.setdefault(event.stream_id, {}).update(event.headers)
            elif isinstance(event, ngh2.StreamClosed):
                self.ended.add(event.stream_id)
        self.flush()

    def status(self, number: int, within_s: float = 30.0) -> str | None:
        """The call's grpc-status; None where the connection ended before."""
        until = time.monotonic() + within_s
        while b"grpc-status" not in self.told.get(number, {}) and not self.closed:
            assert time.monotonic() < until, f"no answer within {within_s} s"
            self.hear()
        found = self.told.get(number, {}).get(b"grpc-status")
        return found.decode() if found else None


OK, EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAUTHENTICATED = "0", "8", "12", "13", "16"


def goes_on(served: Rig) -> bool:
    with Caller(served.grpc_port, served.key) as caller:
        return caller.send("ModelInfer", MESSAGE).predictions() == [10.0]


def memory_bytes(served: Rig) -> int:
    assert served.process is not None
    found: int = psutil.Process(served.process.pid).memory_info().rss
    return found


def test_a_message_may_come_in_any_pieces(served: Rig) -> None:
    with Client(served, served.key) as client:
        pieces = [FRAMED[:3], FRAMED[3:5], FRAMED[5:20], b"", FRAMED[20:]]
        assert client.status(client.call(*pieces)) == OK
        assert client.status(client.call(*(FRAMED[place : place + 1] for place in range(len(FRAMED))))) == OK


def test_a_message_is_refused_by_the_size_that_it_claims(served: Rig) -> None:
    with Client(served, served.key) as client:
        for size in (2**20 + 2**16 + 1, 2**32 - 1):
            assert client.status(client.call(b"\0" + size.to_bytes(4, "big"), last=False)) == EXHAUSTED
        assert client.status(client.call(FRAMED)) == OK


def test_a_stranger_cannot_make_the_gateway_hold_a_message(served: Rig) -> None:
    with Client(served) as client:
        claims = b"\0" + (10**6).to_bytes(4, "big")
        calls = [client.call(claims, bytes(8000), last=False) for _ in range(50)]
        assert {client.status(call) for call in calls} == {UNAUTHENTICATED}
        small = [client.call(claims, bytes(1000), last=False) for _ in range(50)]
        client.hear()
        assert not any(call in client.told for call in small)  # may still show that it is short
    assert goes_on(served)


def test_a_call_without_a_whole_message_has_an_end(served: Rig) -> None:
    with Client(served, served.key) as client:
        assert client.status(client.call(b"")) == INTERNAL
        assert client.status(client.call(FRAMED[:-1])) == INTERNAL
        assert client.status(client.call(b"\1" + FRAMED[1:], grpc_encoding="zstd")) == UNIMPLEMENTED
        assert client.status(client.call(b"\1" + FRAMED[1:], grpc_encoding="gzip")) == INTERNAL
        cut = client.call(FRAMED[:9], last=False, grpc_timeout="200m")
        assert client.status(cut) == "4"  # DEADLINE_EXCEEDED


def test_what_is_not_grpc_is_told_so(served: Rig) -> None:
    with Client(served, served.key) as client:
        headers = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"x"), (b":path", b"/v2")]
        number = client.http.send_request(headers, end_stream=True)
        client.flush()
        while number not in client.ended:
            client.hear()
        assert client.told[number][b":status"] == b"415"


def test_metadata_without_end_are_refused(served: Rig) -> None:
    with Client(served, served.key) as client:
        number = client.call(FRAMED, padding="x" * 60_000)
        while number not in client.ended and not client.closed:
            client.hear()
        assert b"grpc-status" not in client.told.get(number, {})
    assert goes_on(served)


def test_a_client_that_opens_and_resets_calls_is_sent_away(served: Rig) -> None:
    """CVE-2023-44487: 20,000 calls for the price of two frames each."""
    with Client(served, served.key) as client:
        for _ in range(20_000):
            if client.closed:
                break
            client.http.reset_stream(client.call(FRAMED))
            client.flush()
        eventually(lambda: client.hear() or client.closed, 30)
    assert goes_on(served)


def test_a_client_that_reads_no_answers_holds_its_own_connection_up_only(served: Rig) -> None:
    held = memory_bytes(served)
    with Client(served, served.key) as deaf:
        rows = raw_request([[1.0] * 4] * 10_000).SerializeToString()
        framed = b"\0" + len(rows).to_bytes(4, "big") + rows
        deaf._socket.settimeout(0.5)
        for _ in range(2000):
            if deaf.closed or not deaf.http.can_send_request:
                break
            deaf.call(framed)
        assert goes_on(served)
        assert memory_bytes(served) - held < 200 * 2**20


def test_junk_ends_its_connection_and_nothing_else(served: Rig) -> None:
    chance = random.Random(7)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
    for number in range(150):
        with socket.create_connection(("127.0.0.1", served.grpc_port), timeout=30) as connection:
            frame = bytes([0, 0, chance.randrange(40), chance.randrange(12), chance.randrange(256), 0, 0, 0, 1])
            connection.sendall((preface if number % 5 else b"") + frame + os.urandom(chance.randrange(400)))
    assert goes_on(served)
    log = (served.gateway_folder / "log.txt").read_text()
    assert "Traceback" not in log, log[-3000:]


@pytest.mark.parametrize("server", ["nghttp2", "grpcio"])
def test_without_ngh2_grpcio_serves(tmp_path: Path, server: Any) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    with rig(tmp_path, free_port(), grpc_port=free_port(), grpc_server=server) as made:
        absent = tmp_path / "packages" / "ngh2.py"  # stands before the installed one, as none would
        absent.write_text("raise ModuleNotFoundError(\"No module named 'ngh2'\", name='ngh2')")
        made.serve("tiny", ("tiny@1", bundle, 100, [made.add_worker(bundle)]))
        made.push()
        made.start_gateway()
        made.wait_ready()
        assert goes_on(made)
        told = "ngh2 is not installed" in (made.gateway_folder / "log.txt").read_text()
        assert told == (server == "nghttp2")
