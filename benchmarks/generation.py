"""SmolLM2-135M-Instruct served as a stream of tokens: Gristmill and its peers in one run, each with both cores.

python -m benchmarks.generation [--vllm | --vllm-python PYTHON] [--llama-python PYTHON] [--servers NAME ...]

`--vllm` installs it (3 minutes); PYTHON of vLLM's environment has Gristmill in it too, that of llama-cpp-python has
its extra `server`. Servers: default, transformers, vllm, transformers-serve, llama-server, vllm-serve; by default all
that there is a Python for.
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
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
from benchmarks._language import GGUF, folder
from benchmarks._language_servers import (
    Server,
    chosen_runtime,
    deployed,
    install_vllm,
    llama_server,
    peer,
    transformers_serve,
    vllm_serve,
)
from tests.running import Platform, platform

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


Measures = dict[int, Measured]  # by streams
Table = dict[str, Measures]


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


def measure(name: str, server: Server, tokenizer: LanguageTokenizer) -> Measures:
    asyncio.run(load(server, prompts(tokenizer, 2), 1, tokenizer))  # warm
    found = {}
    for streams in STREAMS:
        texts = prompts(tokenizer, 1000)[streams : streams + REQUESTS[streams]]
        found[streams] = asyncio.run(load(server, texts, streams, tokenizer))
        print(f"  {name}, {streams} streams: {found[streams].tokens_per_s:.0f} tokens/s, first token after "
              f"{found[streams].first_token_s * 1e3:.0f} ms", file=sys.stderr)  # fmt: skip
    return found


DEFAULT, TRANSFORMERS, VLLM = "default", "transformers", "vllm"
TRANSFORMERS_SERVE, LLAMA_SERVER, VLLM_SERVE = "transformers-serve", "llama-server", "vllm-serve"
SHOWN = {
    DEFAULT: "Gristmill's default", TRANSFORMERS: "Gristmill, transformers", VLLM: "Gristmill, vllm",
    TRANSFORMERS_SERVE: "transformers serve", LLAMA_SERVER: "llama-cpp-python's server", VLLM_SERVE: "vllm serve",
}  # fmt: skip


def ours(
    running: Platform, model: Path, tokenizer: LanguageTokenizer, wanted: Collection[str]
) -> Iterator[tuple[str, Measures]]:
    """By row of the table."""
    running.cli("models", "import", str(GGUF), "--name", "smol-gguf", timeout=300)
    running.cli("models", "import", str(model), "--name", "smol", timeout=300)
    rows = ((DEFAULT, "smol-gguf@1", "auto"), (TRANSFORMERS, "smol@1", "transformers"), (VLLM, "smol@1", "vllm"))
    for name, version, runtime in [row for row in rows if row[0] in wanted]:
        with deployed(running, version, runtime) as server:
            shown = f"{SHOWN[name]} ({chosen_runtime(running, server)})" if runtime == "auto" else SHOWN[name]
            print(shown, file=sys.stderr)
            yield name, measure(shown, server, tokenizer)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--servers", nargs="+", choices=SHOWN, default=list(SHOWN), metavar="NAME")
    options.add_argument("--llama-python", help="a Python with llama-cpp-python[server]")
    options.add_argument("--vllm", action="store_true", help="install vLLM")
    options.add_argument("--vllm-python", help="a Python with vLLM and Gristmill")
    asked = options.parse_args()
    with_vllm = asked.vllm or asked.vllm_python is not None
    wanted = set(asked.servers) - (set() if with_vllm else {VLLM, VLLM_SERVE})
    with tempfile.TemporaryDirectory() as name, platform(Path(name) / "home") as running:
        model = folder(Path(name) / "smol")
        tokenizer = LanguageTokenizer.open(model)
        python = install_vllm(running, asked.vllm_python) if with_vllm else ""
        rows: Table = dict(ours(running, model, tokenizer, wanted))
        peers = {TRANSFORMERS_SERVE: (transformers_serve(model), str(model)),
                 VLLM_SERVE: (vllm_serve(python, model), str(model))}  # fmt: skip
        if asked.llama_python:
            peers[LLAMA_SERVER] = (llama_server(asked.llama_python), str(GGUF))
        for peer_name, (command, called) in peers.items():
            if peer_name in wanted:
                with peer(command, called) as server:
                    rows[peer_name] = measure(SHOWN[peer_name], server, tokenizer)
    report(rows)


def report(rows: Table) -> None:
    print("| server | " + " | ".join(f"{streams} streams: tokens/s, first token" for streams in STREAMS) + " |")
    print("|---" * (len(STREAMS) + 1) + "|")
    for who, found in rows.items():
        cells = (f"{one.tokens_per_s:.0f}, {one.first_token_s * 1e3:.0f} ms" for one in found.values())
        print(f"| {SHOWN[who]} | " + " | ".join(cells) + " |")
    comparisons = (
        (VLLM, (VLLM_SERVE,), "to reach 1.0 ×, first token at most 1.0 ×"),
        (TRANSFORMERS, (TRANSFORMERS_SERVE,), "to reach 1.5 ×"),
        (DEFAULT, (TRANSFORMERS_SERVE, LLAMA_SERVER, VLLM_SERVE), "to reach 1.1 ×"),
    )
    for own, others, target in comparisons:
        against = [rows[other] for other in others if other in rows]
        if own in rows and against:
            print(f"| {SHOWN[own]} against {' and '.join(SHOWN[one] for one in others if one in rows)}, {target} | "
                  + " | ".join(_against(rows[own][streams], [one[streams] for one in against]) for streams in STREAMS)
                  + " |")  # fmt: skip


def _against(own: Measured, others: list[Measured]) -> str:
    """Tokens/s and time to the first token as multiples of the best of the others."""
    tokens = own.tokens_per_s / max(one.tokens_per_s for one in others)
    first = own.first_token_s / min(one.first_token_s for one in others)
    return f"{tokens:.2f} ×, first token {first:.2f} ×"


if __name__ == "__main__":
    main()
