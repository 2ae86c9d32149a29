"""What the platform says of itself."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import version
from typing import Any

from gristmill.control import records
from gristmill.core.settings import Settings
from gristmill.store.database import Database

Document = dict[str, Any]


class Observed:
    """What the controller last saw of the processes; written by its thread, read by the API's."""

    def __init__(self) -> None:
        self.state = "starting"  # starting, ready, stopping
        self.inference_url: str | None = None
        self.grpc_address: str | None = None  # None: no gateway serves gRPC
        self.gateways: list[Document] = []
        self.journal: Document = {"pending_events": 0, "shipped_records": 0}

    def document(self, settings: Settings, database: Database) -> Document:
        with database.read() as connection:
            runs = records.open_runs(connection)
            endpoints = records.all_endpoints(connection)
            replicas = records.live_replicas(connection)
        states = Counter("queued" if run.state == "queued" else "running" for run in runs)
        running = [run.granted for run in runs if run.state != "queued"]
        return {
            "version": version("gristmill"),
            "state": self.state,
            "inference_url": self.inference_url,
            "grpc_address": self.grpc_address,
            "control_url": f"http://{settings.host}:{settings.control_port}",
            "gateways": self.gateways,
            "runs": {"queued": states["queued"], "running": states["running"]},
            "endpoints": [{"name": one.name, "state": one.state, "model": one.target.model} for one in endpoints],
            "replicas": len(replicas),
            "resources": {
                "cores": settings.cores,
                "memory_bytes": settings.memory_bytes,
                "gpus": settings.gpus,
                "granted_cores": sum(granted.cores for granted in running),
                "granted_memory_bytes": sum(granted.memory_bytes for granted in running),
                "granted_gpus": sum(granted.gpus for granted in running),
                "replica_cores": sum(replica.granted.cores for replica in replicas),
            },
            "journal": self.journal,
        }
