"""gRPC beside REST in the gateway's process, on its event loop."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from gristmill.core.types import GatewaySpec
from gristmill.serving.gateway.rpc.door import SERVICE, Door
from gristmill.serving.gateway.rpc.open_inference_pb2 import DESCRIPTOR
from gristmill.serving.gateway.serving import Serving

_log = logging.getLogger(__name__)
_ENVELOPE_BYTES = 64 * 1024  # what names, shapes and parameters may take beside the tensors
_CALLS_A_CONNECTION = 1024  # those beyond wait at the client; without this one connection could open millions
_IDLE_MS = 75_000  # as for REST: longer than the 60 s after which common proxies drop an idle connection


class _Reflection(reflection.aio.ReflectionServicer):
    """Tells only who has a key."""

    def __init__(self, door: Door) -> None:
        pool = DESCRIPTOR.pool
        for module in (health_pb2, reflection_pb2):
            pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        super().__init__((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), pool=pool)
        self._door = door

    async def ServerReflectionInfo(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        await self._door.admit(context)
        async for answer in super().ServerReflectionInfo(request_iterator, context):
            yield answer


class RpcServer:
    """Listens from `start` to `stop`; health is gRPC's standard service, and knows when the gateway drains."""

    def __init__(self, serving: Serving) -> None:
        self._spec = serving.spec
        self._health = health.aio.HealthServicer()
        door = Door(serving)
        self._server = _server(self._spec, door)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(_Reflection(door), self._server)
        self._server.add_generic_rpc_handlers((door,))  # the last: it answers for what nobody knows

    async def start(self) -> int:
        """The port; 0 when it is taken: REST goes on without gRPC, and the log and the status say so."""
        host = f"[{self._spec.host}]" if ":" in self._spec.host else self._spec.host
        try:
            port: int = self._server.add_insecure_port(f"{host}:{self._spec.grpc_port}")
        except RuntimeError:
            _log.warning("port %d is taken: gRPC is not served; choose another grpc_port", self._spec.grpc_port)
            return 0
        await self._health.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        return port

    async def stop(self) -> None:
        """Take no more, answer what is under way."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(self._spec.drain_timeout_s)


def _server(spec: GatewaySpec, door: Door) -> Any:
    """By nghttp2 where it is asked for and installed, else grpcio's own: a grpc.aio.Server, or what serves as one."""
    if spec.grpc_server == "nghttp2":
        try:
            from gristmill.serving.gateway.rpc.http2.server import Http2Server
        except ModuleNotFoundError:
            _log.info("gRPC is served by grpcio, not nghttp2: ngh2 is not installed")
        else:
            return Http2Server(
                message_limit=spec.max_body_bytes + _ENVELOPE_BYTES,
                patience_s=spec.client_idle_timeout_s,
                idle_s=_IDLE_MS / 1e3,
                reuse_port=spec.reuse_port,
                admits=door.admits,
            )
    return grpc.aio.server(options=_options(spec))


def _options(spec: GatewaySpec) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", int(spec.reuse_port)),
        ("grpc.max_receive_message_length", spec.max_body_bytes + _ENVELOPE_BYTES),  # of what a message inflates to
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", _CALLS_A_CONNECTION),
        ("grpc.server_handshake_timeout_ms", round(spec.client_idle_timeout_s * 1e3)),
        ("grpc.max_connection_idle_ms", _IDLE_MS),
        ("grpc.keepalive_time_ms", _IDLE_MS),
        ("grpc.keepalive_timeout_ms", round(spec.client_idle_timeout_s * 1e3)),
    ]
