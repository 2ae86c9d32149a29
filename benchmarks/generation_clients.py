"""Clients of a language model that leave or dawdle: what that frees, and whom it slows.

python -m benchmarks.generation_clients   (a minute)

Leaving: SmolLM2-135M-Instruct in bfloat16, 16 streams of which one closes its connection; from then until the worker
has let go of its work and the gateway has it in its journal. Dawdling: a tiny model, so that the gateway is what is
measured; four readers beside 64 that read at once, and beside 64 that take 200 bytes ten times a second.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks._language import folder
from tests import language
from tests.running import free_port
from tests.serving.rig import Bundle, Rig, rig

STREAMS, ROUNDS, FREED_MS = 16, 8, 100
READERS, BESIDE, SECONDS, KEPT = 4, 64, 8.0, 0.95


@contextmanager
def served(where: Path, source: Path | None) -> Iterator[Rig]:
    bundle = Bundle(*language.bundle(where / "bundle", source))
    (where / "rig").mkdir()
    with rig(where / "rig", free_port()) as made:
        worker = made.add_worker(bundle, "lm@1", cores=2, memory_bytes=4 * 2**30)
        made.serve("lm", ("lm@1", bundle, 1, [worker]))
        made.push()
        made.wait_ready()
        made.start_gateway()
        yield made


async def ask(made: Rig, new_tokens: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream that has been asked for; nothing of it is read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
    body = {"model": "lm", "prompt": "All is grist to the mill", "max_tokens": new_tokens, "ignore_eos": True,
            "stream": True}  # fmt: skip
    data = json.dumps(body).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {made.key}\r\nconnection: close\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data)
    await writer.drain()
    return reader, writer


async def leaving_ms(made: Rig) -> float:
    clients = [await ask(made, 60) for _ in range(STREAMS)]
    for reader, _ in clients:
        await reader.read(400)
    before = len(made.records())
    reading = [asyncio.create_task(reader.read()) for reader, _ in clients[1:]]
    clients[0][1].close()
    left = time.perf_counter()
    while len(made.records()) == before:  # noqa: ASYNC110 - the journal is another process's
        await asyncio.sleep(0.001)
    freed = time.perf_counter() - left
    await asyncio.gather(*reading)
    return freed * 1e3


async def _read(made: Rig, pace: tuple[int, float] | None, counts: list[int]) -> None:
    """Ask again and again; `pace`: so many bytes, then so long a pause."""
    while True:
        reader, writer = await ask(made, 200)
        while part := await reader.read(pace[0] if pace else 65536):
            counts[0] += part.count(b"data: {")
            if pace:
                await asyncio.sleep(pace[1])
        writer.close()


async def tokens_per_s(made: Rig, pace: tuple[int, float] | None) -> float:
    """Events a second of the readers beside the others."""
    counts, ignored = [0], [0]
    tasks = [asyncio.create_task(_read(made, pace, ignored)) for _ in range(BESIDE)]
    tasks += [asyncio.create_task(_read(made, None, counts)) for _ in range(READERS)]
    await asyncio.sleep(SECONDS / 4)
    start, begun = counts[0], time.perf_counter()
    await asyncio.sleep(SECONDS)
    rate = (counts[0] - start) / (time.perf_counter() - begun)
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, ConnectionError):
            await task
    return rate


def row(what: str, target: str, measured: str, met: bool, more: Any) -> None:
    print(f"| {what} | {target} | {measured}{'' if met else ' (missed)'} | {more} |")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        where = Path(name)
        with served(where / "smol", folder(where / "source")) as made:
            asyncio.run(leaving_ms(made))  # warm
            freed = [asyncio.run(leaving_ms(made)) for _ in range(ROUNDS)]
        with served(where / "tiny", None) as made:
            quick, slow = (asyncio.run(tokens_per_s(made, pace)) for pace in (None, (200, 0.1)))
    print("| what | to reach | measured | |\n|---|---|---|---|")
    middle = statistics.median(freed)
    row(f"{STREAMS} streams of which one leaves: freed after", f"{FREED_MS} ms", f"{middle:.0f} ms",
        middle <= FREED_MS, f"median of {ROUNDS}, slowest {max(freed):.0f} ms")  # fmt: skip
    row(f"{READERS} readers beside {BESIDE} slow ones, against beside {BESIDE} quick ones", f"{KEPT} ×",
        f"{slow / quick:.2f} ×", slow >= KEPT * quick, f"{slow:.0f} against {quick:.0f} tokens/s")  # fmt: skip


if __name__ == "__main__":
    main()
