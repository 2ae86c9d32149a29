"""Serving against its peers, as ratios of one run on one machine: keys checked, inputs validated, usage metered.

    python -m benchmarks.serving [--seconds 5] [--without-peers]

The first run makes `.venv-peers` for the servers that Gristmill does not depend on.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from benchmarks._bundles import FEATURES, SIDE, cnn_bundle, mlp_bundle
from benchmarks._load import Load, wrk
from tests.serving.rig import Bundle, Rig, rig

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".venv-peers"
RESULTS = ROOT / "benchmarks" / "results" / "serving.json"
PACKAGES = ("torch==2.13.0", "numpy", "fastapi", "uvicorn", "uvloop", "httptools", "orjson", "litserve", "bentoml")
ROW = [round(float(value), 4) for value in np.random.default_rng(1).normal(size=FEATURES)]


class Row(NamedTuple):
    """One line of the issue's table."""

    what: str
    target: str
    value: float
    reached: bool
    detail: str


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def peer(port: int, *command: str) -> Iterator[None]:
    """A peer's server, up to its first answer; its whole process group is ended afterwards."""
    process = subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1", "BENTOML_DO_NOT_TRACK": "True"},
    )  # fmt: skip
    try:
        _until_it_listens(port, process)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        time.sleep(1)
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def _until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"A peer did not start: {' '.join(map(str, process.args))}")  # type: ignore[arg-type]


def make_peers() -> Path:
    python = PEERS / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def measure_peer(name: str, path: str, body: bytes, seconds: int, *command: str, port: int) -> Load:
    with peer(port, *command):
        url = f"http://127.0.0.1:{port}{path}"
        headers = {"content-type": "application/json"}
        wrk(url, body, headers, 32, 2)
        load = wrk(url, body, headers, 32, seconds)
    print(f"  {name}: {load.requests_per_s:,.0f} requests/s, p50 {load.p50_s * 1e3:.2f} ms", flush=True)
    if load.failed:
        raise RuntimeError(f"{name} failed {load.failed} requests: its figure would mean nothing.")
    return load


@contextmanager
def gristmill(bundle: Bundle) -> Iterator[Rig]:
    """One gateway, one worker of one core, keys and journal as in any installation."""
    with tempfile.TemporaryDirectory() as folder, rig(Path(folder), free_port()) as made:
        worker = made.add_worker(bundle, "bench@1")
        made.serve("bench", ("bench@1", bundle, 100, [worker]))
        made.push()
        made.start_gateway()
        made.wait_ready()
        yield made


def measure(made: Rig, body: bytes, connections: int, seconds: int, **headers: str) -> Load:
    url = f"http://127.0.0.1:{made.port}/v2/models/bench/infer"
    sent = {"authorization": f"Bearer {made.key}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    wrk(url, body, sent, connections, 1)
    load = wrk(url, body, sent, connections, seconds)
    if load.failed:
        raise RuntimeError(f"Gristmill failed {load.failed} requests.")
    return load


def seconds_a_call(call: Callable[[], Any], for_s: float = 1.0) -> float:
    """Median seconds of one call."""
    took = []
    end = time.perf_counter() + for_s
    while time.perf_counter() < end:
        started = time.perf_counter()
        call()
        took.append(time.perf_counter() - started)
    return statistics.median(took)


def mlp_rows(folder: Path, seconds: int, peers: bool) -> Iterator[Row]:
    bundle, module = mlp_bundle(folder / "mlp")
    tensor = {"name": "features", "datatype": "FP32", "shape": [1, FEATURES], "data": ROW}
    body = json.dumps({"inputs": [tensor]}).encode()
    with gristmill(bundle) as made:
        many = measure(made, body, 32, seconds, content_type="application/json")
        one = measure(made, body, 1, seconds, content_type="application/json")
    print(f"  gristmill: {many.requests_per_s:,.0f} requests/s, p50 {many.p50_s * 1e3:.2f} ms", flush=True)
    rate = many.requests_per_s
    port = free_port()
    empty = measure_peer(
        "empty ASGI app", "/", body, seconds, sys.executable, "-m", "benchmarks.peers.empty_asgi", str(port), port=port
    )
    yield _ratio("MLP against an empty ASGI app on the same server", rate, empty.requests_per_s, 0.35)
    row = torch.tensor([ROW])
    with torch.inference_mode():
        bare_s = seconds_a_call(lambda: module(row))
    over_ms = (one.p50_s - bare_s) * 1e3
    detail = f"{one.p50_s * 1e3:.3f} ms, bare call {bare_s * 1e3:.3f} ms"
    yield Row("MLP, one connection: median over the bare call, ms", "≤ 1", over_ms, over_ms <= 1, detail)
    if peers:
        yield from _peer_rows(rate, seconds)


def _peer_rows(rate: float, seconds: int) -> Iterator[Row]:
    python = str(make_peers())
    body = json.dumps({"data": ROW}).encode()
    known = (
        ("plain FastAPI + uvicorn", 3.0, "benchmarks.peers.fastapi_plain", body),
        ("tuned FastAPI + uvicorn, 2 workers", 1.5, "benchmarks.peers.fastapi_tuned", body),
        ("LitServe with batching", 10.0, "benchmarks.peers.litserve_app", body),
    )
    for name, target, module, content in known:
        port = free_port()
        load = measure_peer(name, "/predict", content, seconds, python, "-m", module, str(port), port=port)
        yield _ratio(f"MLP against {name}", rate, load.requests_per_s, target)
    port = free_port()
    batch = json.dumps({"data": [ROW]}).encode()
    service = ("-m", "bentoml", "serve", "benchmarks.peers.bentoml_app:Mlp", "--port", str(port))
    load = measure_peer("BentoML with batching", "/predict", batch, seconds, python, *service, port=port)
    yield _ratio("MLP against BentoML with batching", rate, load.requests_per_s, 10.0)


def cnn_rows(folder: Path, seconds: int) -> Iterator[Row]:
    """The bare model on both cores at its best batch size, against the whole way with binary tensors."""
    bundle, module = cnn_bundle(folder / "cnn")
    bare, best = _best_rows_per_s(module)
    with gristmill(bundle) as made:
        for rows in (1, 16):
            image = np.random.default_rng(2).integers(0, 256, (rows, SIDE, SIDE, 1), np.uint8).tobytes()
            body, head = _binary(image, rows)
            load = measure(made, body, 32, seconds, inference_header_content_length=str(head))
            served = load.requests_per_s * rows
            what = f"CNN 28×28, binary, 32 connections, {rows} a request: rows/s against the bare model"
            detail = f"{served:,.0f} against {bare:,.0f} rows/s (bare, batch {best})"
            yield Row(what, "≥ 0.5", served / bare, served / bare >= 0.5, detail)


def _best_rows_per_s(module: torch.nn.Module) -> tuple[float, int]:
    torch.set_num_threads(os.cpu_count() or 1)
    found = []
    with torch.inference_mode():
        for rows in (8, 16, 32, 64, 128):
            batch = torch.randn(rows, 1, SIDE, SIDE)
            found.append((rows / seconds_a_call(lambda batch=batch: module(batch)), rows))
    torch.set_num_threads(1)
    return max(found)


def _binary(image: bytes, rows: int) -> tuple[bytes, int]:
    parameters = {"binary_data_size": len(image)}
    tensor = {"name": "image", "datatype": "UINT8", "shape": [rows, SIDE, SIDE, 1], "parameters": parameters}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return head + image, len(head)


def _ratio(what: str, ours: float, theirs: float, target: float) -> Row:
    ratio = ours / theirs
    return Row(what, f"≥ {target:g}", ratio, ratio >= target, f"{ours:,.0f} against {theirs:,.0f} requests/s")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=5, help="of each measurement")
    options.add_argument("--without-peers", action="store_true")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        rows += mlp_rows(Path(folder), chosen.seconds, not chosen.without_peers)
        rows += cnn_rows(Path(folder), chosen.seconds)
    print("\n| what | to reach | measured | |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row.what} | {row.target} | {row.value:.2f}{'' if row.reached else ' (missed)'} | {row.detail} |")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps([row._asdict() for row in rows], indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
