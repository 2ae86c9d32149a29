"""Servers of SmolLM2 that speak OpenAI's dialect: Gristmill as a user deploys it, and its peers, with equal settings.

All compute in bfloat16 with both cores, except where the GGUF's 4 bits are the point (Gristmill's own choice of an
engine begins from them, and llama-cpp-python's server reads them).
"""

from __future__ import annotations

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
from benchmarks._language import GGUF
from tests.running import free_port, platform

from gristmill.control.runtime_install import ENVIRONMENT, READY

CORES, MEMORY_GIB, CONTEXT = 2, 4, 2048
_TO_LOAD_S = 600


class Server(NamedTuple):
    """Where, with which key and model name, and what computes."""

    url: str
    key: str
    model: str
    runtime: str = ""
    group: int | None = None  # of processes, of a peer

    @contextmanager
    def awake(self) -> Iterator[None]:
        """A peer runs only meanwhile: none takes time from the others; an idle replica of ours takes none."""
        if self.group is not None:
            os.killpg(self.group, signal.SIGCONT)
        yield
        if self.group is not None:
            os.killpg(self.group, signal.SIGSTOP)


@contextmanager
def deployed(home: Path, model: Path, runtime: str, vllm_python: str | None) -> Iterator[Server]:
    """An endpoint on a platform of its own."""
    with platform(home) as running:
        if vllm_python is not None:
            folder = running.home / "runtimes" / "vllm"
            folder.mkdir(parents=True)
            (folder / ENVIRONMENT).symlink_to(Path(vllm_python).parents[1])
            (folder / READY).touch()
        running.cli("models", "import", str(model), "--name", "smol", timeout=_TO_LOAD_S)
        running.cli("deploy", "smol@1", "--cores", str(CORES), "--memory", f"{MEMORY_GIB}GB", "--runtime", runtime,
                    timeout=_TO_LOAD_S)  # fmt: skip
        chosen = running.json("endpoints", "show", "smol")["runtime"]["chosen"]
        yield Server(f"{running.inference_url}/v1", running.key, "smol", str(chosen))


def transformers_serve(model: Path) -> list[str]:
    script = str(Path(sys.executable).with_name("transformers"))
    return [
        script,
        "serve",
        "--continuous-batching",
        "--model-timeout",
        "-1",
        "--device",
        "cpu",
        "--dtype",
        "bfloat16",
        str(model),
    ]


def llama_server(python: str) -> list[str]:
    """Without interruption: by default a new request ends the one under way."""
    return [python, "-m", "llama_cpp.server", "--model", str(GGUF), "--n_ctx", str(CONTEXT), "--n_threads", str(CORES),
            "--n_threads_batch", str(CORES), "--interrupt_requests", "False"]  # fmt: skip


def vllm_serve(python: str, model: Path) -> list[str]:
    """The module behind `vllm serve`: its script asks for the metadata of `vllm`, which the CPU's package lacks."""
    return [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--dtype", "bfloat16",
            "--max-model-len", str(CONTEXT), "--max-num-seqs", "64", "--enforce-eager"]  # fmt: skip


@contextmanager
def peer(command: list[str], model: str) -> Iterator[Server]:
    port = free_port()
    environment = os.environ | {
        "OMP_NUM_THREADS": str(CORES), "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": str(MEMORY_GIB // 2),
    }  # fmt: skip
    with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([*command, "--port", str(port)], stdout=log, stderr=log, env=environment,
                                   cwd=folder, start_new_session=True)  # fmt: skip
        try:
            _until_it_answers(port, process, log)
            os.killpg(process.pid, signal.SIGSTOP)
            yield Server(f"http://127.0.0.1:{port}/v1", "none", model, group=process.pid)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _until_it_answers(port: int, process: subprocess.Popen[bytes], log: Any) -> None:
    deadline = time.monotonic() + _TO_LOAD_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx2.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code < 500:
                return
        except httpx2.TransportError:
            time.sleep(0.3)
    log.seek(0)
    raise SystemExit(f"a peer did not start:\n{log.read()[-2000:].decode(errors='replace')}")
