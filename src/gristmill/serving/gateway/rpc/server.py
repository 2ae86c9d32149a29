"""gRPC beside REST in the gateway's process, on its event loop."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from gristmill.serving.gateway.rpc.door import SERVICE, Door
from gristmill.serving.gateway.rpc.http2.server import Server
from gristmill.serving.gateway.rpc.open_inference_pb2 import DESCRIPTOR
from gristmill.serving.gateway.serving import Serving
from gristmill.serving.gateway.sockets import listening_socket

_log = logging.getLogger(__name__)
_ENVELOPE_BYTES = 64 * 1024  # what names, shapes and parameters may take beside the tensors
_IDLE_S = 75.0  # as for REST: longer than the 60 s after which common proxies drop an idle connection


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
        self._server = Server(
            max_message_bytes=self._spec.max_body_bytes + _ENVELOPE_BYTES,
            client_timeout_s=self._spec.client_idle_timeout_s,
            idle_s=_IDLE_S,
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        door = Door(serving)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(_Reflection(door), self._server)
        self._server.add_generic_rpc_handlers((door,))  # the last: it answers for what nobody knows

    async def start(self) -> int:
        """The port; 0 when it is taken: REST goes on without gRPC, and the log and the status say so."""
        try:
            listener = listening_socket(self._spec.host, self._spec.grpc_port, self._spec.reuse_port)
        except OSError:
            _log.warning("port %d is taken: gRPC is not served; choose another grpc_port", self._spec.grpc_port)
            return 0
        await self._health.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start(listener)
        port: int = listener.getsockname()[1]
        return port

    async def stop(self) -> None:
        """Take no more, answer what is under way."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(self._spec.drain_timeout_s)
