"""One gateway process: its sockets, its background tasks, its end."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from pathlib import Path
from types import FrameType
from typing import Protocol

import uvicorn
import uvloop

from gristmill.core.routes import Snapshot, read_snapshot
from gristmill.core.types import GatewaySpec
from gristmill.serving.gateway.app import App, load_dialects
from gristmill.serving.gateway.control import Control
from gristmill.serving.gateway.idempotency import KEPT_S, MOST_BYTES, Idempotency
from gristmill.serving.gateway.kept import Kept
from gristmill.serving.gateway.listening import listening_socket
from gristmill.serving.gateway.protocol import PatientProtocol, close_late_clients
from gristmill.serving.gateway.serving import Serving

_log = logging.getLogger(__name__)
_KEEP_ALIVE_S = 75  # longer than the 60 s after which common proxies drop an idle connection


class Rpc(Protocol):
    """gRPC's server, as far as this one must know it: where grpcio is absent, nothing of it is imported."""

    async def stop(self) -> None: ...


class _Server(uvicorn.Server):
    """uvicorn's own graceful end, with readiness withdrawn first."""

    def __init__(self, config: uvicorn.Config, serving: Serving, rpc: Rpc | None) -> None:
        super().__init__(config)
        self._serving = serving
        self._rpc = rpc

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """REST and gRPC drain at the same time."""
        await asyncio.gather(super().shutdown(sockets), *([self._rpc.stop()] if self._rpc else []))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._serving.draining = True
        # A gateway told to end has ended well: uvicorn would raise the signal again after its shutdown.
        self.should_exit = True


def run(spec: GatewaySpec) -> None:
    """Serve until SIGTERM; returns when what was in flight is answered."""
    uvloop.run(_serve(spec))


async def _serve(spec: GatewaySpec) -> None:
    serving = Serving(spec, _first_snapshot(Path(spec.routes_file)))
    answered = Kept(Path(spec.kept) / "answered", KEPT_S, MOST_BYTES)
    config = uvicorn.Config(
        App(serving, load_dialects(), Idempotency(answered)),
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(spec.drain_timeout_s),
    )
    rpc = await _listen_for_rpc(serving)
    server = _Server(config, serving, rpc)
    control = await Control(serving).listen(spec.control_socket)
    tasks = [
        asyncio.create_task(serving.expire_for_ever()),
        asyncio.create_task(serving.budgets.return_idle()),
        asyncio.create_task(answered.sweep_for_ever()),
        asyncio.create_task(serving.responses.sweep_for_ever()),
        asyncio.create_task(close_late_clients(server.server_state.connections, spec.client_idle_timeout_s)),
    ]
    gc.collect()
    gc.freeze()  # what start-up made is never garbage: keep the collector from walking it
    gc.set_threshold(20_000, 20, 20)
    try:
        await server.serve([listening_socket(spec.host, spec.port, reuse_port=spec.reuse_port)])
    finally:
        control.close()
        for task in tasks:
            task.cancel()
        await serving.budgets.close()
        serving.close()


async def _listen_for_rpc(serving: Serving) -> Rpc | None:
    """None where gRPC is not asked for, not installed, or its port is taken."""
    if not serving.spec.grpc_port:
        return None
    try:
        from gristmill.serving.gateway.rpc.server import RpcServer
    except ModuleNotFoundError as missing:
        _log.warning("gRPC is not served: %s is not installed; install gristmill[grpc]", missing.name)
        return None
    rpc = RpcServer(serving)
    serving.grpc_port = await rpc.start()
    return rpc if serving.grpc_port else None


def _first_snapshot(path: Path) -> Snapshot:
    try:
        return read_snapshot(path)
    except FileNotFoundError:
        _log.warning("there is no routes file yet: every model is unknown until the controller writes one")
        return Snapshot(0, (), ())
