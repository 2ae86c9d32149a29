"""What a streamed token costs the gateway: its own CPU time over 16 streams of a tiny model that outruns any client."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import httpx2
import psutil
from tests import language
from tests.running import free_port
from tests.serving.rig import Bundle, Rig, rig

STREAMS, ROUNDS, NEW_TOKENS = 16, 12, 200
TARGET_US = 30


async def drain(made: Rig) -> int:
    """Tokens that came, one event each."""
    body = {"model": "tiny", "prompt": "All is grist", "max_tokens": NEW_TOKENS, "ignore_eos": True, "stream": True}
    headers = {"authorization": f"Bearer {made.key}"}
    events = 0

    async def one(http: httpx2.AsyncClient) -> None:
        nonlocal events
        for _ in range(ROUNDS):
            url = f"http://127.0.0.1:{made.port}/v1/completions"
            async with http.stream("POST", url, json=body, headers=headers) as response:
                async for part in response.aiter_bytes():
                    events += part.count(b"data: {")

    async with httpx2.AsyncClient(timeout=120, trust_env=False) as http:
        await asyncio.gather(*(one(http) for _ in range(STREAMS)))
    return events


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        where = Path(name)
        bundle = Bundle(*language.bundle(where / "language"))
        (where / "rig").mkdir()
        with rig(where / "rig", free_port()) as made:
            made.serve("tiny", ("tiny@1", bundle, 1, [made.add_worker(bundle, "tiny@1")]))
            made.push()
            made.wait_ready()
            made.start_gateway()
            asyncio.run(drain(made))
            assert made.process is not None
            gateway = psutil.Process(made.process.pid)
            before = sum(gateway.cpu_times()[:2])
            events = asyncio.run(drain(made))
            used = sum(gateway.cpu_times()[:2]) - before
    tokens = STREAMS * ROUNDS * NEW_TOKENS
    cost_us = used / tokens * 1e6
    print("| what | to reach | measured | |\n|---|---|---|---|")
    print(f"| gateway's CPU a streamed token | ≤ {TARGET_US} µs | {cost_us:.1f} µs"
          f"{'' if cost_us <= TARGET_US else ' (missed)'} | {tokens} tokens in {events} events |")  # fmt: skip


if __name__ == "__main__":
    main()
