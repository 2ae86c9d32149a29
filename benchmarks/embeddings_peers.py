"""MiniLM's sentence embeddings against other servers: 32 connections, one text of 5 to 60 words a request.

    python -m benchmarks.embeddings_peers [--texts 256]

To reach (issue 3): at least 1.2 times the best. Each peer has batches of up to 32, both cores, and a virtual
environment beside the checkout that its packages agree with; who has none is left out, and told:

    .venv-peers           litserve bentoml "ray[serve]" sentence-transformers torch==2.13.0
    .venv-peers-infinity  "infinity-emb[torch,server]" torch==2.13.0
    .venv-peers-mlserver  "mlserver>=1.6" sentence-transformers torch==2.13.0
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from benchmarks.embeddings import CONNECTIONS, CORES, MINILM, sentences
from tests import language
from tests.running import free_port
from tests.serving.rig import Bundle, rig

ROOT = Path(__file__).parent.parent
TO_REACH, _START_S = 1.2, 120.0


class Peer(NamedTuple):
    """Where it is installed, how it starts (words in capitals are filled in), and how one text is asked for."""

    name: str
    environment: str
    needs: str  # a module that tells whether it is installed
    command: tuple[str, ...]
    path: str
    prepare: tuple[str, ...] = ()

    def body(self, text: str) -> Any:
        if self.path == "/embeddings":
            return {"model": "minilm", "input": text}
        if self.path.startswith("/v2"):
            return {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": [text]}]}
        return {"texts": [text]} if self.name == "BentoML" else {"text": text}


PEERS = (
    Peer("infinity-emb", ".venv-peers-infinity", "infinity_emb",
         ("INFINITY", "v2", "--model-id", str(MINILM), "--served-model-name", "minilm", "--engine", "torch",
          "--device", "cpu", "--batch-size", "32", "--port", "PORT", "--host", "127.0.0.1"), "/embeddings"),
    Peer("LitServe", ".venv-peers", "litserve", ("-m", "benchmarks.peers.litserve_minilm", "PORT"), "/predict"),
    Peer("BentoML", ".venv-peers", "bentoml",
         ("-m", "bentoml", "serve", "benchmarks.peers.bentoml_minilm:Embedder", "--port", "PORT"), "/embed"),
    Peer("Ray Serve", ".venv-peers", "ray", ("-m", "benchmarks.peers.ray_minilm", "PORT"), "/embed"),
    Peer("MLServer", ".venv-peers-mlserver", "mlserver", ("-m", "mlserver.cli.main", "start", "FOLDER"),
         "/v2/models/minilm/infer", ("-m", "benchmarks.peers.mlserver_minilm", "PORT", "FOLDER")),
)  # fmt: skip


@contextmanager
def running(peer: Peer) -> Iterator[int]:
    """Its port, once it listens; its whole process group is ended afterwards. Raises RuntimeError."""
    port, python = free_port(), str(ROOT / peer.environment / "bin" / "python")
    environment = os.environ | {"OMP_NUM_THREADS": str(CORES), "MINILM": str(MINILM), "PYTHONPATH": str(ROOT),
                                "BENTOML_DO_NOT_TRACK": "True", "DO_NOT_TRACK": "1"}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        infinity = str(ROOT / peer.environment / "bin" / "infinity_emb")
        filled = {"PORT": str(port), "FOLDER": folder, "INFINITY": infinity}
        prepare, command = ([filled.get(word, word) for word in words] for words in (peer.prepare, peer.command))
        if prepare:
            subprocess.run([python, *prepare], cwd=ROOT, env=environment, check=True, capture_output=True)
        process = subprocess.Popen(
            [python, *command], cwd=ROOT, env=environment, start_new_session=True, stdout=log, stderr=log
        )
        try:
            asyncio.run(_until_it_answers(peer, port, process))
            yield port
        finally:
            for last in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, last)
                except ProcessLookupError:
                    break
                time.sleep(2)
            process.wait()


async def _until_it_answers(peer: Peer, port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    async with httpx2.AsyncClient(timeout=20, trust_env=False) as http:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                answer = await http.post(f"http://127.0.0.1:{port}{peer.path}", json=peer.body("A mill."))
                if answer.status_code == 200:
                    return
            except httpx2.HTTPError:
                pass
            await asyncio.sleep(0.5)
    raise RuntimeError(f"{peer.name} did not start.")


async def texts_per_s(url: str, bodies: list[Any], headers: dict[str, str]) -> float:
    """Over 32 connections. Raises RuntimeError when one is refused."""
    waiting = list(bodies)

    async def client(http: httpx2.AsyncClient) -> None:
        while waiting:
            answer = await http.post(url, json=waiting.pop(), headers=headers)
            if answer.status_code != 200:
                raise RuntimeError(f"{url} answered {answer.status_code}: {answer.text[:200]}")

    limits = httpx2.Limits(max_connections=CONNECTIONS)
    async with httpx2.AsyncClient(timeout=120, trust_env=False, limits=limits) as http:
        started = time.perf_counter()
        await asyncio.gather(*(client(http) for _ in range(CONNECTIONS)))
        return len(bodies) / (time.perf_counter() - started)


def of_peer(peer: Peer, texts: list[str]) -> float:
    bodies = [peer.body(text) for text in texts]
    with running(peer) as port:
        url = f"http://127.0.0.1:{port}{peer.path}"
        asyncio.run(texts_per_s(url, bodies[:64], {}))
        return asyncio.run(texts_per_s(url, bodies, {}))


def of_gristmill(texts: list[str]) -> float:
    bodies = [{"model": "minilm", "input": text} for text in texts]
    with tempfile.TemporaryDirectory() as name:
        bundle = Bundle(*language.bundle(Path(name) / "language", MINILM))
        folder = Path(name) / "rig"
        folder.mkdir()
        with rig(folder, free_port()) as made:
            made.serve("minilm", ("minilm@1", bundle, 1, [made.add_worker(bundle, "minilm@1", cores=CORES)]))
            made.push()
            made.wait_ready()
            made.start_gateway()
            url, headers = f"http://127.0.0.1:{made.port}/v1/embeddings", {"authorization": f"Bearer {made.key}"}
            asyncio.run(texts_per_s(url, bodies[:64], headers))
            return asyncio.run(texts_per_s(url, bodies, headers))


def installed(peer: Peer) -> bool:
    python = ROOT / peer.environment / "bin" / "python"
    return (
        python.exists() and not subprocess.run([python, "-c", f"import {peer.needs}"], capture_output=True).returncode
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--texts", type=int, default=256)
    options.add_argument("--only", choices=[peer.name for peer in PEERS])
    chosen = options.parse_args()
    texts = sentences(chosen.texts, 1)
    print("| server | texts/s | Gristmill against it |\n|---|---|---|")
    ours, rates = of_gristmill(texts), []
    print(f"| Gristmill | {ours:.1f} | |", flush=True)
    for peer in PEERS:
        if chosen.only not in (None, peer.name):
            continue
        if not installed(peer):
            print(f"| {peer.name} | not installed | |", flush=True)
            continue
        try:
            rates.append(of_peer(peer, texts))
        except RuntimeError as error:
            print(f"| {peer.name} | {error} | |", flush=True)
            continue
        print(f"| {peer.name} | {rates[-1]:.1f} | {ours / rates[-1]:.2f} × |", flush=True)
    if rates:
        ratio = ours / max(rates)
        print(
            f"| the best of them, to reach {TO_REACH} × | | {ratio:.2f} ×{'' if ratio >= TO_REACH else ' (missed)'} |"
        )


if __name__ == "__main__":
    sys.exit(main())
