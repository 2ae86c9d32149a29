"""SmolLM2-135M-Instruct served as a stream of tokens: Gristmill and its peers in one run, each with both cores."""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from benchmarks._language import GGUF, folder
from tests import language
from tests.running import free_port
from tests.serving.rig import Bundle, rig

from gristmill.tasks.language.tokenizer import LanguageTokenizer

CORES = 2
NEW_TOKENS = 64
PROMPT_TOKENS = (32, 64, 128, 256)
STREAMS = (1, 4, 16)
ASKED = "Write a long and detailed essay about this scene of a play:"  # answered at length
REQUESTS = {1: 5, 4: 12, 16: 32}
BOOK = Path(__file__).parents[1] / "../shared/data/lm/tinyshakespeare/input.txt.gz"


class Server(NamedTuple):
    """Something that speaks OpenAI's dialect: where, with which key and model name."""

    url: str
    key: str
    model: str


class Measured(NamedTuple):
    tokens_per_s: float
    first_token_s: float  # median


def prompts(tokenizer: LanguageTokenizer, count: int) -> list[str]:
    """Pieces of a play of 32 to 256 tokens, each another."""
    tokens = tokenizer.encode(gzip.decompress(BOOK.read_bytes()).decode()[:400_000])
    drawn = random.Random(7)
    starts = [drawn.randrange(len(tokens) - 300) for _ in range(count)]
    return [
        tokenizer.decode(tokens[start : start + PROMPT_TOKENS[number % 4] - 20]) for number, start in enumerate(starts)
    ]


async def load(server: Server, texts: list[str], streams: int, tokenizer: LanguageTokenizer) -> Measured:
    """`streams` clients, each with one request at a time, until all texts are answered."""
    waiting, firsts, tokens = list(texts), [], 0

    async def client(http: httpx2.AsyncClient) -> None:
        nonlocal tokens
        while waiting:
            first, text = await ask(http, server, waiting.pop())
            if text:
                firsts.append(first)
            tokens += len(tokenizer.encode(text, rendered=True))

    async with httpx2.AsyncClient(timeout=600, trust_env=False) as http:
        started = time.perf_counter()
        await asyncio.gather(*(client(http) for _ in range(streams)))
        took = time.perf_counter() - started
    return Measured(tokens / took, statistics.median(firsts))


async def ask(http: httpx2.AsyncClient, server: Server, text: str) -> tuple[float, str]:
    """Seconds to the first text, and the whole text."""
    body = {
        "model": server.model, "stream": True, "temperature": 0, "max_tokens": NEW_TOKENS,
        "messages": [{"role": "user", "content": f"{ASKED}\n{text}"}],
    }  # fmt: skip
    parts: list[str] = []
    started, first = time.perf_counter(), 0.0
    headers = {"authorization": f"Bearer {server.key}"}
    async with http.stream("POST", f"{server.url}/chat/completions", json=body, headers=headers) as response:
        if response.status_code != 200:
            raise SystemExit(f"{server.url} answered {response.status_code}: {(await response.aread())[:300]!r}")
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            for choice in json.loads(line[6:]).get("choices") or ():
                content = (choice.get("delta") or {}).get("content")
                if content:
                    first = first or time.perf_counter() - started
                    parts.append(content)
    return first, "".join(parts)


@contextmanager
def gristmill(bundle: Bundle, where: Path) -> Iterator[Server]:
    port = free_port()
    with rig(where, port) as made:
        worker = made.add_worker(bundle, "smol@1", cores=CORES, memory_bytes=4 * 2**30)
        made.serve("smol", ("smol@1", bundle, 1, [worker]))
        made.push()
        made.wait_ready()
        made.start_gateway()
        yield Server(f"http://127.0.0.1:{port}/v1", made.key, "smol")


@contextmanager
def peer(command: Callable[[int], list[str]], model: str) -> Iterator[Server]:
    port = free_port()
    environment = os.environ | {"OMP_NUM_THREADS": str(CORES), "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command(port), stdout=log, stderr=log, env=environment, start_new_session=True)
        try:
            _until_it_answers(port, process, log)
            yield Server(f"http://127.0.0.1:{port}/v1", "none", model)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _until_it_answers(port: int, process: subprocess.Popen[bytes], log: Any) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx2.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code < 500:
                return
        except httpx2.TransportError:
            time.sleep(0.3)
    log.seek(0)
    raise SystemExit(f"a peer did not start:\n{log.read()[-2000:].decode(errors='replace')}")


def transformers_serve(model: Path) -> Callable[[int], list[str]]:
    script = str(Path(sys.executable).with_name("transformers"))
    return lambda port: [script, "serve", "--continuous-batching", "--device", "cpu", "--dtype", "bfloat16",
                         "--port", str(port), str(model)]  # fmt: skip


def llama_server(python: str) -> Callable[[int], list[str]]:
    return lambda port: [python, "-m", "llama_cpp.server", "--model", str(GGUF), "--port", str(port),
                         "--n_ctx", "2048", "--n_threads", str(CORES)]  # fmt: skip


def vllm_serve(python: str, model: Path) -> Callable[[int], list[str]]:
    script = str(Path(python).with_name("vllm"))
    return lambda port: [script, "serve", str(model), "--port", str(port), "--dtype", "bfloat16",
                         "--max-model-len", "2048", "--enforce-eager"]  # fmt: skip


def measure(name: str, server: Server, tokenizer: LanguageTokenizer) -> dict[int, Measured]:
    asyncio.run(load(server, prompts(tokenizer, 2), 1, tokenizer))  # warm
    found = {}
    for streams in STREAMS:
        texts = prompts(tokenizer, 1000)[streams : streams + REQUESTS[streams]]
        found[streams] = asyncio.run(load(server, texts, streams, tokenizer))
        print(f"  {name}, {streams} streams: {found[streams].tokens_per_s:.0f} tokens/s, first token after "
              f"{found[streams].first_token_s * 1e3:.0f} ms", file=sys.stderr)  # fmt: skip
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--without-peers", action="store_true")
    options.add_argument("--llama-python", help="a Python with llama-cpp-python[server]")
    options.add_argument("--vllm-python", help="a Python with vLLM")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        where = Path(name)
        model = folder(where / "smol")
        tokenizer = LanguageTokenizer.open(model)
        rows: dict[str, dict[int, Measured]] = {}
        sources = {"transformers": model, "llama-cpp": GGUF}
        for engine, source in sources.items():
            bundle = Bundle(*language.bundle(where / engine, source))
            with gristmill(bundle, _new(where / f"rig-{engine}")) as server:
                rows[f"Gristmill, {engine}"] = measure(f"Gristmill, {engine}", server, tokenizer)
        if not chosen.without_peers:
            peers = {"transformers serve": (transformers_serve(model), str(model))}
            if chosen.llama_python:
                peers["llama-cpp-python's server"] = (llama_server(chosen.llama_python), str(GGUF))
            if chosen.vllm_python:
                peers["vllm serve"] = (vllm_serve(chosen.vllm_python, model), str(model))
            for peer_name, (command, called) in peers.items():
                with peer(command, called) as server:
                    rows[peer_name] = measure(peer_name, server, tokenizer)
    print("| server | " + " | ".join(f"{streams} streams: tokens/s, first token" for streams in STREAMS) + " |")
    print("|---" * (len(STREAMS) + 1) + "|")
    for who, found in rows.items():
        cells = (f"{one.tokens_per_s:.0f}, {one.first_token_s * 1e3:.0f} ms" for one in found.values())
        print(f"| {who} | " + " | ".join(cells) + " |")


def _new(path: Path) -> Path:
    path.mkdir()
    return path


if __name__ == "__main__":
    main()
