import socket
import struct
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.core import frames
from gristmill.core.errors import Malformed
from gristmill.core.supervision import Census, Counted, ask


@settings(max_examples=50)
@given(st.dictionaries(st.text(), st.integers(0, 2**32)), st.lists(st.binary(max_size=200_000), max_size=20))
def test_a_frame_arrives_as_it_was_sent(header: dict[str, int], parts: list[bytes]) -> None:
    left, right = socket.socketpair()
    with left, right:
        sender = threading.Thread(target=frames.send, args=(left, header, *parts))
        sender.start()
        received, body = frames.receive(right)
        sender.join()
    assert msgspec.msgpack.decode(received) == header
    assert body == b"".join(parts)


def test_a_frame_of_absurd_length_is_refused_before_memory_is_taken() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(struct.pack("<IQ", 10, 2**60))
        with pytest.raises(Malformed):
            frames.receive(right)


def test_a_stream_that_ends_in_mid_frame_is_an_end_and_not_a_frame() -> None:
    left, right = socket.socketpair()
    with right:
        with left:
            left.sendall(b"".join(frames.encode({"a": 1}, b"12345"))[:-2])
        with pytest.raises(EOFError):
            frames.receive(right)


def test_a_question_is_answered_over_a_socket_and_a_silent_process_times_out(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                frames.receive(connection)
                frames.send(connection, Counted(7, {"sha256:x": 2}))

        thread = threading.Thread(target=answer)
        thread.start()
        assert ask(path, Census(), Counted).in_flight == {"sha256:x": 2}
        thread.join()
        with pytest.raises(TimeoutError):
            ask(path, Census(), Counted, timeout_s=0.05)
