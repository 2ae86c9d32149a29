"""gRPC's HTTP/2 is ours: real clients find what they expect, and a hostile peer costs no more than a bounded lot."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from gristmill.serving.gateway.rpc.http2 import frames
from gristmill.serving.gateway.rpc.http2.connection import read_timeout
from gristmill.serving.gateway.rpc.http2.frames import END_HEADERS, END_STREAM, PREFACE, Code, Kind, Setting
from gristmill.serving.gateway.rpc.http2.headers import HeaderReader, block, percent_encoded
from gristmill.serving.gateway.rpc.http2.messages import MessageReader, framed
from tests.serving.http2_peer import MAX_MESSAGE_BYTES, Peer, Running, data, headers, running
from tests.serving.rig import eventually

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@pytest.fixture(scope="module")
def here() -> Iterator[Running]:
    with running() as made:
        yield made


@pytest.fixture(scope="module")
def channel(here: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{here.port}", options=OPTIONS) as made:
        yield made


@pytest.mark.parametrize("size", [0, 1, 16_384, 65_536, 7 * 2**20])
@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_messages_of_any_size_come_back_whole(
    channel: grpc.Channel, size: int, compression: grpc.Compression | None
) -> None:
    message = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert channel.unary_unary("/echo/Once")(message, timeout=10, compression=compression) == message


def test_many_calls_share_a_connection_and_large_ones_do_not_hold_up_small_ones(channel: grpc.Channel) -> None:
    once = channel.unary_unary("/echo/Once")
    large = [once.future(bytes(4 * 2**20), timeout=20) for _ in range(4)]
    small = [once.future(str(number).encode(), timeout=20) for number in range(500)]
    assert [call.result() for call in small] == [str(number).encode() for number in range(500)]
    assert all(len(call.result()) == 4 * 2**20 for call in large)


def test_a_stream_much_longer_than_its_window_comes_back_in_order(channel: grpc.Channel) -> None:
    sent = [bytes([number % 256]) * 50_000 for number in range(200)]
    assert list(channel.stream_stream("/echo/Each")(iter(sent), timeout=20)) == sent


def test_a_deadline_and_a_cancellation_reach_the_handler(here: Running, channel: grpc.Channel) -> None:
    wait = channel.unary_unary("/echo/Wait")
    with pytest.raises(grpc.RpcError) as late:
        wait(b"", timeout=0.2)
    assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    calls = [wait.future(b"") for _ in range(20)]
    eventually(lambda: here.echo.waiting == 20, 5)
    for call in calls:
        call.cancel()
    eventually(lambda: here.echo.waiting == 0, 5)


def test_an_answer_waits_for_the_windows_of_its_peer(here: Running) -> None:
    with Peer(here.port, {Setting.INITIAL_WINDOW_SIZE: 10}) as peer:
        peer.send(headers(1), data(1, framed(bytes(20))))
        assert len(peer.until(Kind.DATA).payload) == 10
        peer.send(frames.window_update(1, 7))
        assert len(peer.until(Kind.DATA).payload) == 7
        peer.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: 18}))
        assert len(peer.until(Kind.DATA).payload) == 8
        assert b"grpc-status" in peer.until(Kind.HEADERS, END_STREAM).payload


def test_headers_in_many_pieces_and_padded_data_are_understood(here: Running) -> None:
    whole = headers(1)[9:]
    padded = b"\x05" + framed(b"hello") + bytes(5)
    with Peer(here.port) as peer:
        peer.send(
            frames.frame(Kind.HEADERS, 0, 1, whole[:9]),
            frames.frame(Kind.CONTINUATION, 0, 1, whole[9:30]),
            frames.frame(Kind.CONTINUATION, END_HEADERS, 1, whole[30:]),
            frames.frame(Kind.DATA, END_STREAM | 0x8, 1, padded),
        )
        assert peer.until(Kind.DATA).payload == framed(b"hello")


NEVER_OPENED = data(7, framed(b""))
UNREADABLE = frames.frame(Kind.HEADERS, END_HEADERS, 1, b"\xff\xff")
LONG_FIELD = b"\x40" + block([(b"x", bytes(4000))])[1:]  # into the table, and then by its number
BOMB = frames.frame(Kind.HEADERS, END_HEADERS, 1, LONG_FIELD + b"\xbe" * 4000)
BROKEN = {
    "another protocol": (b"GET / HTTP/1.1\r\n\r\n", Code.PROTOCOL_ERROR),
    "data for no stream": (PREFACE + NEVER_OPENED, Code.PROTOCOL_ERROR),
    "a stream of ours": (PREFACE + headers(2), Code.PROTOCOL_ERROR),
    "a frame too large": (PREFACE + frames.frame(Kind.DATA, 0, 1, bytes(16_385)), Code.FRAME_SIZE_ERROR),
    "a block never ended": (PREFACE + headers(1, flags=0) + NEVER_OPENED, Code.PROTOCOL_ERROR),
    "headers beyond reading": (PREFACE + UNREADABLE, Code.COMPRESSION_ERROR),
    "a header bomb": (PREFACE + BOMB, Code.COMPRESSION_ERROR),
    "headers without end": (
        PREFACE + headers(1, flags=0) + frames.frame(Kind.CONTINUATION, 0, 1, b"") * 100, Code.ENHANCE_YOUR_CALM
    ),
    "a window beyond all bounds": (PREFACE + frames.window_update(0, 2**31 - 1), Code.FLOW_CONTROL_ERROR),
    "padding beyond the frame": (PREFACE + headers(1) + frames.frame(Kind.DATA, 8, 1, b"\xff"), Code.PROTOCOL_ERROR),
    "a promise": (PREFACE + frames.frame(Kind.PUSH_PROMISE, 4, 1, bytes(4)), Code.PROTOCOL_ERROR),
    "pings without end": (PREFACE + frames.frame(Kind.PING, 0, 0, bytes(8)) * 3000, Code.ENHANCE_YOUR_CALM),
    "settings without end": (PREFACE + frames.settings({}) * 3000, Code.ENHANCE_YOUR_CALM),
    "empty data without end": (PREFACE + headers(1) + data(1, b"", 0) * 3000, Code.ENHANCE_YOUR_CALM),
    "calls opened and reset": (
        PREFACE + b"".join(headers(n, b"/echo/Wait") + data(n, framed(b"")) + frames.reset(n, Code.CANCEL)
                           for n in range(1, 6001, 2)),
        Code.ENHANCE_YOUR_CALM,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_peer_that_breaks_the_rules_is_told_and_cut_off(here: Running, what: str) -> None:
    sent, code = BROKEN[what]
    with Peer(here.port, bare=True) as peer:
        sender = threading.Thread(target=lambda: peer.try_to_send(sent))
        sender.start()
        assert peer.ended() in (code, None)  # None: the rest that was being sent reset the connection
        sender.join()
    eventually(lambda: here.echo.waiting == 0, 5)


def test_a_stream_that_exceeds_its_window_is_reset_and_the_connection_lives(here: Running) -> None:
    with Peer(here.port) as peer:
        peer.send(headers(1, b"/echo/Each"))
        prefix = b"\0" + (6 * 2**20).to_bytes(4, "big")
        peer.send(data(1, prefix, 0), headers(3), data(3, framed(b"well")))
        assert peer.until(Kind.DATA).payload == framed(b"well")


@pytest.mark.parametrize(
    ("more", "sent", "status"),
    [
        ({}, framed(b"a") + framed(b"b"), b"13"),
        ({}, framed(b"abc")[:-1], b"13"),
        ({}, b"", b"13"),
        ({}, b"\x01" + framed(b"abc")[1:], b"13"),
        ({"grpc_encoding": b"gzip"}, b"\x01" + framed(b"abc")[1:], b"13"),
        ({"grpc_encoding": b"snappy"}, framed(b"abc"), b"12"),
        ({"grpc_timeout": b"soon"}, framed(b"abc"), b"13"),
        ({}, b"\0\xff\xff\xff\xff", b"8"),
    ],
)
def test_a_call_that_is_none_ends_with_its_status(
    here: Running, more: dict[str, bytes], sent: bytes, status: bytes
) -> None:
    with Peer(here.port) as peer:
        peer.send(headers(1, **more), data(1, sent))
        ended = HeaderReader().read(peer.until(Kind.HEADERS, END_STREAM).payload)
        assert ended[b"grpc-status"] == status


@pytest.mark.parametrize(("more", "status"), [({"content_type": b"text/html"}, b"415"), ({":method": b"GET"}, b"405")])
def test_what_is_not_grpc_is_answered_as_http(here: Running, more: dict[str, bytes], status: bytes) -> None:
    with Peer(here.port) as peer:
        peer.send(headers(1, **more))
        assert HeaderReader().read(peer.until(Kind.HEADERS, END_STREAM).payload)[b":status"] == status


def test_clients_that_dawdle_and_those_that_are_gone_are_closed() -> None:
    with running(client_timeout_s=0.6, idle_s=0.5) as made, Peer(made.port) as dawdler, Peer(made.port) as idler:
        dawdler.send(headers(1), data(1, b"\0", 0))
        ended = HeaderReader().read(dawdler.until(Kind.HEADERS, END_STREAM).payload)
        assert ended[b"grpc-message"] == b"The request did not arrive in time."
        assert idler.ended() == Code.NO_ERROR
        eventually(lambda: not made.server.connections, 5)


def test_a_peer_that_holds_open_calls_and_answers_no_ping_is_closed() -> None:
    with running(client_timeout_s=0.4, idle_s=0.3) as made, Peer(made.port) as peer:
        peer.send(headers(1, b"/echo/Wait"), data(1, framed(b"")))
        eventually(lambda: made.echo.waiting == 1, 5)
        eventually(lambda: made.echo.waiting == 0, 5)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sent=some.lists(
        some.builds(
            frames.frame,
            some.integers(0, 12),
            some.sampled_from([0, 1, 4, 5, 8, 0x20, 0x2D, 255]),
            some.integers(0, 9),
            some.binary(max_size=30) | some.just(headers(1)[9:]) | some.just(framed(b"x")),
        )
        | some.binary(max_size=20),
        max_size=12,
    )
)
def test_no_frames_whatever_they_are_break_the_server(here: Running, channel: grpc.Channel, sent: list[bytes]) -> None:
    with Peer(here.port) as peer:
        peer.try_to_send(b"".join(sent))
    assert channel.unary_unary("/echo/Once")(b"well", timeout=10) == b"well"


@given(messages=some.lists(some.binary(max_size=50), max_size=8), cuts=some.lists(some.integers(0, 500), max_size=12))
def test_messages_do_not_depend_on_how_their_bytes_were_cut(messages: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(map(framed, messages))
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    reader = MessageReader(MAX_MESSAGE_BYTES, None)
    found = [one for start, stop in pairwise(places) for one in reader.feed(whole[start:stop])]
    assert (found, reader.held) == (messages, 0)


@given(pairs=some.dictionaries(some.binary(min_size=1, max_size=300), some.binary(max_size=300), max_size=9))
def test_headers_are_read_as_they_were_written_the_second_time_too(pairs: dict[bytes, bytes]) -> None:
    reader, written = HeaderReader(), block(pairs.items())
    assert reader.read(written) == reader.read(written) == pairs


def test_a_block_seen_before_means_something_else_once_the_table_has_moved() -> None:
    reader = HeaderReader()
    newest = b"\xbe"  # the dynamic table's first entry
    assert reader.read(b"\x40\x01a\x011") == {b"a": b"1"}
    assert reader.read(newest) == reader.read(newest) == {b"a": b"1"}
    assert reader.read(b"\x40\x01a\x012") == {b"a": b"2"}
    assert reader.read(newest) == {b"a": b"2"}


@pytest.mark.parametrize(("text", "seconds"), [(b"5S", 5.0), (b"100m", 0.1), (b"3H", 10800.0), (None, None)])
def test_timeouts_are_read_by_their_unit(text: bytes | None, seconds: float | None) -> None:
    assert read_timeout(text) == seconds


def test_a_message_in_any_script_fits_into_a_header() -> None:
    assert percent_encoded("Übung: 100 %") == b"%C3%9Cbung: 100 %25"
