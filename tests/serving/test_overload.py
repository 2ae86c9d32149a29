"""Ten times what an endpoint can do: most are refused at once, those that are let in are answered in time."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator

import psutil
import pytest

from gristmill.core.routes import EndpointLimits
from tests.running import free_port
from tests.serving.rig import Rig, eventually, make_bundle, predictions, rig, tensor

BATCH_S, BATCH_ROWS = 0.02, 4  # 200 requests a second
QUEUE = 32
DEADLINE_MS = 2_000
CLIENTS, PAUSE_S = 100, 0.05  # refused, each comes back 20 times a second: 2,000 requests a second
SECONDS = 2.0


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("small")
    bundle = make_bundle(folder / "bundle", seconds=BATCH_S)
    with rig(folder, free_port()) as made:
        limits = EndpointLimits(max_queue=QUEUE, max_batch_rows=BATCH_ROWS, deadline_ms=DEADLINE_MS)
        made.serve("tiny", ("tiny@1", bundle, 100, [made.add_worker(bundle)]), limits=limits)
        made.push()
        made.start_gateway()
        made.wait_ready()
        eventually(lambda: made.get("/v2/models/tiny/ready").status == 200, 30)
        yield made


async def client(port: int, request: bytes, until: float, outcomes: list[tuple[int, dict[str, str]]]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while asyncio.get_running_loop().time() < until:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        await reader.readexactly(int(headers["content-length"]))
        status = int(head[0].split()[1])
        outcomes.append((status, headers))
        if status != 200:
            await asyncio.sleep(PAUSE_S)
    writer.close()


async def overload(port: int, request: bytes) -> list[tuple[int, dict[str, str]]]:
    outcomes: list[tuple[int, dict[str, str]]] = []
    until = asyncio.get_running_loop().time() + SECONDS
    await asyncio.gather(*(client(port, request, until, outcomes) for _ in range(CLIENTS)))
    return outcomes


def test_what_is_too_much_is_shed_and_what_is_admitted_is_answered(small: Rig) -> None:
    body = json.dumps(tensor([[1.0, 2.0, 3.0, 4.0]])).encode()
    head = f"POST /v2/models/tiny/infer HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {small.key}\r\n"
    request = f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    assert small.process is not None
    gateway = psutil.Process(small.process.pid)
    assert predictions(small.infer([[1.0, 2.0, 3.0, 4.0]])) == [10.0]
    before = gateway.memory_info().rss

    outcomes = asyncio.run(overload(small.port, request))

    statuses = Counter(status for status, _ in outcomes)
    assert set(statuses) == {200, 503}, statuses
    assert statuses[503] > statuses[200]
    assert all(int(headers["retry-after"]) >= 1 for status, headers in outcomes if status == 503)
    assert all(int(headers["retry-after-ms"]) >= 1 for status, headers in outcomes if status == 503)
    answered = [record for record in small.records() if record.status == 200]
    assert max(record.latency_us for record in answered) < DEADLINE_MS * 1_000
    assert gateway.memory_info().rss - before < 32 * 2**20
    assert predictions(small.infer([[1.0, 2.0, 3.0, 4.0]])) == [10.0]
    assert b'gristmill_queue_depth{tenant="t",endpoint="tiny",version="tiny@1"} 0' in small.get("/metrics").body
