import socket
import time
from collections.abc import Iterator

import pytest

from tests.running import free_port
from tests.serving.rig import Rig, eventually, make_bundle, predictions, rig


@pytest.fixture
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("slow")
    bundle = make_bundle(folder / "bundle")
    with rig(folder, free_port(), client_idle_timeout_s=1.0) as made:
        made.serve("tiny", ("tiny@1", bundle, 100, [made.add_worker(bundle)]))
        made.push()
        made.start_gateway()
        made.wait_ready()
        yield made


def gone(connection: socket.socket, byte: bytes) -> bool:
    """Send one byte more; true once the other side has closed."""
    connection.settimeout(0.01)
    try:
        connection.sendall(byte)
        return connection.recv(4096) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_clients_that_dribble_are_closed_in_time_and_others_are_served(impatient: Rig) -> None:
    """Silent, in the middle of the head, in the middle of the body."""
    port, key = impatient.port, impatient.key
    begun = (
        f"POST /v2/models/tiny/infer HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 9999\r\n\r\n"
    )
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(90)]
    for number, connection in enumerate(connections):
        connection.sendall((b"", b"GET /v2 HTTP/1.1\r\nx-a: ", begun.encode())[number % 3])
    started = time.monotonic()
    while connections and time.monotonic() < started + 10:
        connections = [connection for connection in connections if not gone(connection, b"a")]
        assert predictions(impatient.infer([[1.0, 1.0, 1.0, 1.0]])) == [4.0]
    assert connections == []


def test_a_client_that_keeps_its_connection_may_pause_between_requests(impatient: Rig) -> None:
    connection = impatient.connection()
    headers = {"authorization": f"Bearer {impatient.key}"}
    for pause_s in (1.5, 0):
        connection.request("GET", "/v2", headers=headers)
        assert connection.getresponse().read()
        time.sleep(pause_s)
    connection.close()


def test_requests_sent_in_one_go_are_answered_one_after_the_other(impatient: Rig) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port)) as connection:
        request = f"GET /v2 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {impatient.key}\r\n\r\n".encode()
        connection.sendall(request * 5)
        received = bytearray()
        eventually(lambda: received.extend(connection.recv(65536)) or received.count(b"HTTP/1.1 200 OK") == 5, 30)
