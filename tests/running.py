"""A real platform for tests: started by the CLI in a home of its own, called over HTTP, killed for real."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from gristmill.client.sync import Client
from gristmill.core.processes import living
from gristmill.core.routes import read_snapshot

# Below those that the kernel gives to outgoing connections: one of them could take a port before its server listens.
_PORTS = iter(random.SystemRandom().sample(range(10_000, 32_768), 22_768))


def free_port() -> int:
    """Never the same twice."""
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")


class Platform:
    """A home folder and what runs in it."""

    def __init__(self, home: Path, environment: dict[str, str] | None = None) -> None:
        self.home = home
        self.control_port, self.inference_port, self.grpc_port = free_port(), free_port(), free_port()
        self.environment = {
            **os.environ,
            "GRISTMILL_HOME": str(home),
            "GRISTMILL_CONTROL_PORT": str(self.control_port),
            "GRISTMILL_INFERENCE_PORT": str(self.inference_port),
            "GRISTMILL_GRPC_PORT": str(self.grpc_port),
            **(environment or {}),
        }

    @property
    def control_url(self) -> str:
        return f"http://127.0.0.1:{self.control_port}"

    @property
    def inference_url(self) -> str:
        return f"http://127.0.0.1:{self.inference_port}"

    @property
    def key(self) -> str:
        return (self.home / "admin.key").read_text().strip()

    def cli(self, *arguments: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            [sys.executable, "-m", "gristmill.cli.main", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check:
            assert ended.returncode == 0, (arguments, ended.stdout, ended.stderr)
        return ended

    def json(self, *arguments: str, timeout: float = 120) -> Any:
        return json.loads(self.cli(*arguments, "--json", timeout=timeout).stdout)

    def client(self) -> Client:
        return Client(url=self.control_url, key=self.key, inference_url=self.inference_url)

    def up(self) -> None:
        self.cli("up", timeout=240)

    def down(self) -> None:
        self.cli("down", check=False)
        for process in self.processes():
            process.kill()

    def processes(self) -> list[psutil.Process]:
        return processes_of(self.home)

    def pid_of(self, folder: str) -> int:
        process = living(self.home / folder)
        assert process is not None, f"no process lives in {folder}"
        return process.pid

    def kill(self, folder: str, with_signal: int = signal.SIGKILL) -> int:
        pid = self.pid_of(folder)
        os.kill(pid, with_signal)
        return pid

    def folders(self, kind: str) -> list[str]:
        """Folders of living processes: kind is `replicas`, `gateways` or `runs`."""
        return [f"{kind}/{path.name}" for path in sorted((self.home / kind).iterdir()) if living(path) is not None]

    def replicas(self, endpoint: str) -> list[str]:
        """Folders of the endpoint's living replicas; those of others may still be ending."""
        return [
            folder
            for folder in self.folders("replicas")
            if json.loads((self.home / folder / "replica.json").read_text())["endpoint"] == endpoint
        ]

    def set_hard_budget(self, place: str, amount: str) -> None:
        """And wait until every gateway routes by it."""
        self.cli("books", "set-budget", place, amount, "--hard")

        def known() -> bool:
            snapshot = read_snapshot(self.home / "routes.msgpack")
            told = any(budget.place == place for budget in snapshot.budgets)
            with self.client() as client:
                gateways = client.platform.status()["gateways"]
            return told and all(one["revision"] >= snapshot.revision for one in gateways)

        eventually(known, 30)


def processes_of(home: Path) -> list[psutil.Process]:
    """Every process of a home, by its environment: nothing can hide from it by leaving its parent."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("GRISTMILL_HOME") == str(home):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if "gristmill" in " ".join(_command(process))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


@contextmanager
def platform(home: Path, environment: dict[str, str] | None = None) -> Iterator[Platform]:
    """A platform that is up, and is gone afterwards whatever happened."""
    running = Platform(home, environment)
    try:
        running.up()
        yield running
    finally:
        running.down()


def eventually(what: Callable[[], Any], within_s: float, message: str = "", every_s: float = 0.05) -> Any:
    """The first true value of `what`, asked until `within_s` is over; fails with `message` otherwise."""
    deadline = time.monotonic() + within_s
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < deadline, message or f"not within {within_s} s"
        time.sleep(every_s)


class Load:
    """Clients that call an endpoint without pause, each over its own connection; every outcome is kept."""

    def __init__(self, running: Platform, endpoint: str, rows: list[list[float]], clients: int = 4) -> None:
        self._address = urlsplit(running.inference_url)
        self._path = f"/v2/models/{endpoint}/infer"
        self._headers = {"authorization": f"Bearer {running.key}", "content-type": "application/json"}
        body = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [len(rows), len(rows[0])], "data": rows}]}
        self._body = json.dumps(body)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(clients)]
        self.answered: list[str] = []  # request ids of the answers with status 200
        self.models: Counter[str] = Counter()
        self.failures: list[str] = []
        self.broken: int = 0  # connections that broke before an answer
        self._count = itertools.count(1)

    def _call(self) -> None:
        connection = None
        while not self._stop.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(
                        self._address.hostname or "", self._address.port, timeout=30
                    )
                connection.request("POST", self._path, self._body, self._headers)
                response = connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException):
                self.broken += 1
                connection = None
                time.sleep(0.02)
                continue
            next(self._count)
            if response.status == 200:
                self.answered.append(response.headers["x-request-id"])
                self.models[response.headers["x-gristmill-model"]] += 1
            else:
                self.failures.append(f"{response.status} {text.decode()[:300]}")

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(40)
