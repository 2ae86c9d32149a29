"""SmolLM2-135M-Instruct served as a stream of tokens: Gristmill and its peers in one run, each with both cores.

python -m benchmarks.generation [--vllm-python PYTHON] [--llama-python PYTHON] [--servers NAME ...] [--rounds 3]

They take turns, round by round, so that a machine whose speed wavers wavers for all of them. PYTHON of vLLM is the one
of the environment that `gristmill runtimes install vllm` makes, that of llama-cpp-python has its extra `server`.
Servers: default, transformers, vllm, transformers-serve, llama-server, vllm-serve; by default all that there is a
Python for, which takes more than 24 GB at once: `transformers serve` alone holds 13.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import httpx2
from benchmarks._language import GGUF, folder
from benchmarks._language_servers import (
    Server,
    deployed,
    llama_server,
    peer,
    transformers_serve,
    vllm_serve,
)

from gristmill.tasks.language.tokenizer import LanguageTokenizer

NEW_TOKENS = 64
PROMPT_TOKENS = (32, 64, 128, 256)
STREAMS = (1, 4, 16)
ASKED = "Write a long and detailed essay about this scene of a play:"  # answered at length
REQUESTS = {1: 5, 4: 12, 16: 32}
BOOK = Path(__file__).parents[1] / "../shared/data/lm/tinyshakespeare/input.txt.gz"


class Measured(NamedTuple):
    tokens_per_s: float
    first_token_s: float  # median


Table = dict[str, dict[int, Measured]]  # by server, by streams


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


DEFAULT, TRANSFORMERS, VLLM = "default", "transformers", "vllm"
TRANSFORMERS_SERVE, LLAMA_SERVER, VLLM_SERVE = "transformers-serve", "llama-server", "vllm-serve"
SHOWN = {
    DEFAULT: "Gristmill's default", TRANSFORMERS: "Gristmill, transformers", VLLM: "Gristmill, vllm",
    TRANSFORMERS_SERVE: "transformers serve", LLAMA_SERVER: "llama-cpp-python's server", VLLM_SERVE: "vllm serve",
}  # fmt: skip


def started(stack: ExitStack, asked: argparse.Namespace, folder: Path, model: Path) -> dict[str, Server]:
    """By name; all of them at once, each with both cores."""
    vllm, llama = asked.vllm_python, asked.llama_python
    made = {DEFAULT: lambda: deployed(folder / DEFAULT, GGUF, "auto", vllm),
            TRANSFORMERS: lambda: deployed(folder / TRANSFORMERS, model, "transformers", None),
            TRANSFORMERS_SERVE: lambda: peer(transformers_serve(model), str(model))}  # fmt: skip
    if vllm:
        made |= {VLLM: lambda: deployed(folder / VLLM, model, "vllm", vllm),
                 VLLM_SERVE: lambda: peer(vllm_serve(vllm, model), str(model))}  # fmt: skip
    if llama:
        made[LLAMA_SERVER] = lambda: peer(llama_server(llama), str(GGUF))
    return {name: stack.enter_context(made[name]()) for name in asked.servers if name in made}


def measure(servers: dict[str, Server], tokenizer: LanguageTokenizer, rounds: int) -> list[Table]:
    """Of each round, in which the servers take turns at each number of streams with the same texts; other texts in
    each, for those that were asked before come faster."""
    texts = iter(prompts(tokenizer, 1000))
    warm, found = list(islice(texts, 2)), []
    for server in servers.values():
        with server.awake():
            asyncio.run(load(server, warm, 1, tokenizer))
    for _ in range(rounds):
        table: Table = {name: {} for name in servers}
        for streams in STREAMS:
            asked = list(islice(texts, REQUESTS[streams]))
            for name, server in servers.items():
                with server.awake():
                    table[name][streams] = one = asyncio.run(load(server, asked, streams, tokenizer))
                print(f"  {SHOWN[name]}, {streams} streams: {one.tokens_per_s:.0f} tokens/s, first token after "
                      f"{one.first_token_s * 1e3:.0f} ms", file=sys.stderr)  # fmt: skip
        found.append(table)
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--servers", nargs="+", choices=SHOWN, default=list(SHOWN), metavar="NAME")
    options.add_argument("--llama-python", help="a Python with llama-cpp-python[server]")
    options.add_argument("--vllm-python", help="a Python with vLLM and Gristmill: gristmill runtimes install vllm")
    options.add_argument("--rounds", type=int, default=3)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        model = folder(Path(name) / "smol")
        servers = started(stack, asked, Path(name), model)
        report(servers, measure(servers, LanguageTokenizer.open(model), asked.rounds))


def report(servers: dict[str, Server], rounds: list[Table]) -> None:
    """Medians of the rounds."""
    print("| server | " + " | ".join(f"{streams} streams: tokens/s, first token" for streams in STREAMS) + " |")
    print("|---" * (len(STREAMS) + 1) + "|")
    for name, server in servers.items():
        cells = (_medians([one[name][streams] for one in rounds]) for streams in STREAMS)
        chosen = f" (it chose {server.runtime})" if name == DEFAULT else ""
        print(f"| {SHOWN[name]}{chosen} | " + " | ".join(cells) + " |")
    comparisons = (
        (VLLM, (VLLM_SERVE,), "to reach 1.0 ×, first token at most 1.0 ×"),
        (TRANSFORMERS, (TRANSFORMERS_SERVE,), "to reach 1.5 ×"),
        (DEFAULT, (TRANSFORMERS_SERVE, LLAMA_SERVER, VLLM_SERVE), "to reach 1.1 ×"),
    )
    for own, others, target in comparisons:
        there = [other for other in others if other in servers]
        if own in servers and there:
            cells = (_against(own, there, streams, rounds) for streams in STREAMS)
            print(f"| {SHOWN[own]} against {' and '.join(SHOWN[one] for one in there)}, {target} | "
                  + " | ".join(cells) + " |")  # fmt: skip


def _medians(found: list[Measured]) -> str:
    tokens, first = (statistics.median(values) for values in zip(*found, strict=True))
    return f"{tokens:.0f}, {first * 1e3:.0f} ms"


def _against(own: str, others: list[str], streams: int, rounds: list[Table]) -> str:
    """Tokens/s and time to the first token as multiples of the best of the others, with the rounds' range."""

    def told(ratios: list[float]) -> str:
        return f"{statistics.median(ratios):.2f} × [{min(ratios):.2f}, {max(ratios):.2f}]"

    tokens = [one[own][streams].tokens_per_s / max(one[other][streams].tokens_per_s for other in others)
              for one in rounds]  # fmt: skip
    first = [one[own][streams].first_token_s / min(one[other][streams].first_token_s for other in others)
             for one in rounds]  # fmt: skip
    return f"{told(tokens)}, first token {told(first)}"


if __name__ == "__main__":
    main()
