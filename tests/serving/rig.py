"""A gateway and its workers as real processes, with a numpy runtime that a stranger's package would bring.

The runtime comes in through an entry point of its own, written beside one file: that is all a new framework needs.
"""

from __future__ import annotations

import copy
import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from gristmill.bundles.digests import scan
from gristmill.bundles.manifest import PREPROCESSING, Lineage, Manifest, write_manifest
from gristmill.bundles.replay import write_golden
from gristmill.core.keys import mint, secret_hash
from gristmill.core.routes import (
    EndpointLimits,
    KeyLimits,
    RouteEndpoint,
    RouteKey,
    RouteReplica,
    RouteVersion,
    Snapshot,
    write_snapshot,
)
from gristmill.core.supervision import Ping, Pong, Reload, Reloaded, ask
from gristmill.core.types import GatewaySpec, ReplicaSpec, Resources, Role, Signature, TensorSpec
from gristmill.store.journal import read_records
from gristmill.tasks.preprocessing import Preprocessing, Standardise, encode_preprocessing

FEATURES = 4
DIE, RAISE, NOT_A_NUMBER, HANG = 666.0, 667.0, 668.0, 669.0  # what the tiny runtime does on such a first feature

TINY_RUNTIME = '''
"""A runtime in one file: the answer is the sum of a row, times `scale`."""
import os
import time

import numpy as np


class TinyRuntime:
    def __init__(self, architecture):
        self.scale = architecture["scale"]
        self.classes = architecture["classes"]
        self.seconds = architecture.get("seconds", 0.0)

    @classmethod
    def load(cls, bundle, manifest, resources):
        return cls(manifest.architecture)

    def infer(self, inputs):
        x = inputs["features"]
        first = x[:, 0]
        if (first == 666).any():
            os._exit(9)
        if (first == 667).any():
            raise RuntimeError("poisoned")
        if (first == 669).any():
            time.sleep(3600)
        time.sleep(self.seconds)
        total = x.sum(axis=1, keepdims=True) * self.scale
        total[first == 668] = np.nan
        return total if self.classes == 1 else np.concatenate([total * i for i in range(self.classes)], axis=1)

    def close(self):
        pass
'''


def install_tiny_runtime(folder: Path) -> Path:
    """What `pip install` of a stranger's package would leave: a module and its entry point."""
    info = folder / "tiny_runtime-0.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (folder / "tiny_runtime.py").write_text(TINY_RUNTIME)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-runtime\nVersion: 0.0\n")
    (info / "entry_points.txt").write_text("[gristmill.runtimes]\ntiny = tiny_runtime:TinyRuntime\n")
    return folder


class Bundle(NamedTuple):
    folder: Path
    digest: str
    signature: Signature


def make_bundle(folder: Path, *, scale: float = 1.0, classes: int = 1, seconds: float = 0.0) -> Bundle:
    """classes 1: regression, the prediction is `scale` × the row's sum; more: classification by that sum."""
    folder.mkdir(parents=True)
    task = "tabular-regression" if classes == 1 else "tabular-classification"
    name = "prediction" if classes == 1 else "probabilities"
    signature = Signature(
        task,
        (TensorSpec("features", "FP32", (-1, FEATURES)),),
        (TensorSpec(name, "FP32", (-1, classes)),),
        None if classes == 1 else tuple(f"class-{i}" for i in range(classes)),
        tuple(f"f{i}" for i in range(FEATURES)),
    )
    identity = Preprocessing(Standardise((0.0,) * FEATURES, (1.0,) * FEATURES))
    (folder / PREPROCESSING).write_bytes(encode_preprocessing(identity))
    inputs = np.arange(2 * FEATURES, dtype=np.float32).reshape(2, FEATURES) / 10
    total = inputs.sum(axis=1, keepdims=True) * np.float32(scale)
    logits = total if classes == 1 else np.concatenate([total * i for i in range(classes)], axis=1)
    outputs = logits if classes == 1 else np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    write_golden(folder, {"features": inputs}, {name: outputs.astype(np.float32)})
    manifest = Manifest(
        name="tiny",
        task=task,
        framework="tiny",
        runtime="tiny",
        architecture={"name": "tiny", "scale": scale, "classes": classes, "seconds": seconds},
        signature=signature,
        lineage=Lineage(),
        files=scan(folder),
        parameters=1,
        licence=None,
        created_at=0.0,
    )
    return Bundle(folder, write_manifest(folder, manifest), signature)


class Worker:
    """One replica's process; a babysitter starts it again when it dies, as the controller would."""

    def __init__(self, rig: Rig, name: str, model: str, bundle: Bundle, resources: Resources) -> None:
        self.folder = rig.folder / "replicas" / name
        self.folder.mkdir(parents=True)
        self.socket = str(rig.folder / f"{name}.sock")
        self._environment = rig.environment
        spec = ReplicaSpec(
            id=name,
            tenant="t",
            endpoint="e",
            model=model,
            digest=bundle.digest,
            bundle=str(bundle.folder),
            socket=self.socket,
            resources=resources,
        )
        (self.folder / "replica.json").write_bytes(msgspec.json.encode(spec))
        self.starts = 0
        self._stopping = False
        self.start()
        self._babysitter = threading.Thread(target=self._watch, daemon=True)
        self._babysitter.start()

    def start(self) -> None:
        self.starts += 1
        self.process = start("worker", self.folder, self._environment)

    def _watch(self) -> None:
        while not self._stopping:
            if self.process.poll() is not None and not self._stopping:
                self.start()
            time.sleep(0.02)

    def ping(self) -> Pong | None:
        try:
            return ask(self.socket, Ping(), Pong)
        except (OSError, EOFError):
            return None

    def ready(self) -> bool:
        pong = self.ping()
        return pong is not None and pong.state == "ready"

    def stop(self) -> None:
        self._stopping = True
        self._babysitter.join()
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(role: str, folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", f"gristmill.serving.{role}", str(folder)], env=environment, stdout=log, stderr=log
        )


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Rig:
    """One gateway, its workers, its keys."""

    def __init__(self, folder: Path, port: int, **gateway: Any) -> None:
        self.folder = folder
        packages = install_tiny_runtime(folder / "packages")
        path = os.pathsep.join([str(packages), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.environment = os.environ | {"PYTHONPATH": path}
        self.port = port
        self.grpc_port: int = gateway.get("grpc_port", 0)
        self.pepper = os.urandom(32)
        (folder / "pepper").write_bytes(self.pepper)
        self.journal = folder / "journal"
        self.routes = folder / "routes.msgpack"
        self.gateway_folder = folder / "gateway"
        self.gateway_folder.mkdir()
        self.control_socket = str(folder / "control.sock")
        spec = GatewaySpec(
            **(
                {
                    "id": "g",
                    "host": "127.0.0.1",
                    "port": port,
                    "reuse_port": False,
                    "control_socket": self.control_socket,
                    "routes_file": str(self.routes),
                    "pepper_file": str(folder / "pepper"),
                    "journal": str(self.journal),
                    "journal_segment_bytes": 2**24,
                    "journal_fsync": False,
                    "max_body_bytes": 2**20,
                    "client_idle_timeout_s": 10.0,
                    "default_deadline_ms": 30_000,
                    "drain_timeout_s": 10.0,
                    "kept": str(folder / "kept"),
                }
                | gateway
            )
        )
        (self.gateway_folder / "gateway.json").write_bytes(msgspec.json.encode(spec))
        self.workers: list[Worker] = []
        self._numbers = itertools.count()
        self.keys: list[RouteKey] = []
        self.endpoints: dict[tuple[str, str], RouteEndpoint] = {}
        self.revision = 0
        self.key = self.add_key()
        self.process: subprocess.Popen[bytes] | None = None

    def add_key(self, tenant: str = "t", **fields: Any) -> str:
        minted = mint()
        limits = fields.pop("limits", KeyLimits())
        role = fields.pop("role", Role.consumer)
        hashed = secret_hash(self.pepper, minted.secret)
        self.keys.append(RouteKey(minted.id, tenant, role, hashed, limits=limits, **fields))
        return minted.token

    def add_worker(
        self, bundle: Bundle, model: str = "tiny@1", *, memory_bytes: int = 2 * 2**30, cores: float = 1.0
    ) -> Worker:
        worker = Worker(self, f"r{next(self._numbers)}", model, bundle, Resources(cores, memory_bytes))
        self.workers.append(worker)
        return worker

    def serve(
        self,
        name: str,
        *versions: tuple[str, Bundle, int, list[Worker]],
        tenant: str = "t",
        limits: EndpointLimits = EndpointLimits(),
    ) -> None:
        """Put an endpoint into the snapshot: (model, bundle, weight, workers) a version."""
        routed = tuple(
            RouteVersion(
                model,
                bundle.digest,
                bundle.signature,
                weight,
                tuple(RouteReplica(worker.folder.name, worker.socket) for worker in workers),
            )
            for model, bundle, weight, workers in versions
        )
        task = versions[0][1].signature.task
        self.endpoints[tenant, name] = RouteEndpoint(name, tenant, task, routed, limits)

    def push(self) -> None:
        """Write the snapshot; a gateway that runs takes it over before this returns."""
        self.revision += 1
        write_snapshot(self.routes, Snapshot(self.revision, tuple(self.keys), tuple(self.endpoints.values())))
        if self.process is not None:
            reloaded = ask(self.control_socket, Reload(self.revision), Reloaded, timeout_s=10)
            assert reloaded.revision >= self.revision

    def start_gateway(self) -> None:
        self.process = start("gateway", self.gateway_folder, self.environment)
        eventually(lambda: self.get("/healthz", key=None).status == 200, 30)

    @contextmanager
    def second_gateway(self, port: int, **more: Any) -> Iterator[Rig]:
        """Another gateway of the same installation, as a rig to ask; on a port of its own, so that a test chooses."""
        folder = self.folder / f"gateway-{port}"
        folder.mkdir(exist_ok=True)
        spec = msgspec.json.decode((self.gateway_folder / "gateway.json").read_bytes(), type=GatewaySpec)
        own = {"id": folder.name, "port": port, "grpc_port": 0, "control_socket": str(self.folder / f"{port}.sock"),
               "journal": str(folder / "journal")} | more  # fmt: skip
        (folder / "gateway.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(spec, **own)))
        other = copy.copy(self)
        other.port, other.journal, other.gateway_folder, other.workers = port, folder / "journal", folder, []
        other.control_socket = own["control_socket"]
        try:
            other.start_gateway()
            yield other
        finally:
            other.stop()

    def wait_ready(self) -> None:
        eventually(lambda: all(worker.ready() for worker in self.workers), 60)

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def request(self, method: str, path: str, body: Any = None, key: str | None = "", **headers: str) -> Answer:
        """A fresh connection a request; `key` None sends none."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["authorization"] = f"Bearer {key or self.key}"
        if body is not None and not isinstance(body, bytes | str):
            body = json.dumps(body)
            sent.setdefault("content-type", "application/json")
        connection = self.connection()
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except (ConnectionError, http.client.HTTPException):
            return Answer(0, {}, b"")
        finally:
            connection.close()

    def get(self, path: str, key: str | None = "") -> Answer:
        return self.request("GET", path, key=key)

    def infer(self, rows: list[list[float]], endpoint: str = "tiny", **more: str) -> Answer:
        return self.request("POST", f"/v2/models/{endpoint}/infer", tensor(rows), **more)

    def records(self) -> list[Any]:
        return read_records(self.journal, 0, 10**6)[0]

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
        for worker in self.workers:
            worker.stop()


def tensor(rows: list[list[float]]) -> dict[str, Any]:
    shape = [len(rows), len(rows[0])]
    return {"inputs": [{"name": "features", "datatype": "FP32", "shape": shape, "data": rows}]}


def predictions(answer: Answer) -> list[float]:
    assert answer.status == 200, answer
    data: list[float] = answer.json["outputs"][0]["data"]
    return data


@contextmanager
def rig(folder: Path, port: int, **gateway: Any) -> Iterator[Rig]:
    made = Rig(folder, port, **gateway)
    try:
        yield made
    finally:
        made.stop()


def eventually(what: Callable[[], Any], within_s: float) -> Any:
    deadline = time.monotonic() + within_s
    while not (value := what()):
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.01)
    return value
