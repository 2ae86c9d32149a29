"""What gRPC may call here: a key first, then the method, then the answer with its metadata."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any

import grpc

from gristmill.core.errors import GristmillError, Internal
from gristmill.core.log import request_id as logged_request_id
from gristmill.core.routes import RouteKey
from gristmill.serving.gateway.call import Call
from gristmill.serving.gateway.metering import RecordIds
from gristmill.serving.gateway.rpc import methods, status
from gristmill.serving.gateway.rpc.inference import infer
from gristmill.serving.gateway.rpc.open_inference_pb2 import DESCRIPTOR, ModelStreamInferResponse
from gristmill.serving.gateway.serving import Serving
from gristmill.serving.gateway.work import Answer

_log = logging.getLogger(__name__)
_sane_id = re.compile(r"[A-Za-z0-9._:-]{1,128}").fullmatch
SERVICE = f"{DESCRIPTOR.package}.GRPCInferenceService"
_STREAM_AHEAD = 64  # messages of one stream that may be under way; then its client waits
Act = Callable[[Call, bytes, float | None], Awaitable[Answer]]


class Door(grpc.GenericRpcHandler):
    """Deny by default: what is not health needs a key, and so does what is not there.

    Messages come in and go out as bytes: their size is metered, and one that cannot be read is an error of ours.
    """

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._ids = RecordIds()
        self._unknown = grpc.unary_unary_rpc_method_handler(self._no_such_method)
        self._handlers = {
            f"/{SERVICE}/{name}": grpc.unary_unary_rpc_method_handler(self._unary(act))
            for name, act in {"ModelInfer": infer, **methods.METHODS}.items()
        }
        self._handlers[f"/{SERVICE}/ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(self._stream_infer)
        for name, health in methods.HEALTH.items():
            self._handlers[f"/{SERVICE}/{name}"] = grpc.unary_unary_rpc_method_handler(self._health(health))

    def service(self, details: Any) -> Any:
        """The handler of a method (grpc.GenericRpcHandler)."""
        return self._handlers.get(details.method, self._unknown)

    def _health(self, health: Callable[[Serving], bytes]) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def answer(message: bytes, context: Any) -> bytes:
            return health(self._serving)

        return answer

    async def _no_such_method(self, message: bytes, context: Any) -> None:
        await self.admit(context)
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "There is no such method: server reflection lists them.")

    def _unary(self, act: Act) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def answer(message: bytes, context: Any) -> bytes:
            call, shown_id = await self.admit(context)
            try:
                answered = await act(call, message, context.time_remaining())
            except Exception as error:
                await self._refuse(context, error, shown_id, call.model)
                raise
            context.set_trailing_metadata(_trailing(answered, shown_id))
            return answered.reply.body

        return answer

    async def _stream_infer(self, messages: AsyncIterator[bytes], context: Any) -> None:
        """One answer a message, in their order; those that follow are read meanwhile, so that they share a batch."""
        await self.admit(context)
        answers: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue(_STREAM_AHEAD)
        async with asyncio.TaskGroup() as group:

            async def read() -> None:
                async for message in messages:
                    await answers.put(group.create_task(self._streamed(message, context)))
                await answers.put(None)

            group.create_task(read())
            while (answer := await answers.get()) is not None:
                await context.write(await answer)

    async def _streamed(self, message: bytes, context: Any) -> bytes:
        """An error answers its message, and the stream goes on; a key that was revoked meanwhile is one too."""
        record_id = self._ids.next()
        response = ModelStreamInferResponse()
        try:
            call = Call(self._serving, self._key(dict(context.invocation_metadata())), record_id)
            answered = await infer(call, message, context.time_remaining())
            response.infer_response.MergeFromString(answered.reply.body)
        except Exception as error:
            response.error_message = _told(error, record_id).message
        return bytes(response.SerializeToString())

    async def admit(self, context: Any) -> tuple[Call, str]:
        """The call, and the id that the client sees; ends the call of who has no key."""
        metadata = dict(context.invocation_metadata())
        record_id = self._ids.next()
        own_id = metadata.get("x-request-id")
        shown_id = own_id if isinstance(own_id, str) and _sane_id(own_id) else record_id
        try:
            return Call(self._serving, self._key(metadata), record_id), shown_id
        except GristmillError as error:
            await self._refuse(context, error, shown_id)
            raise

    def admits(self, metadata: Iterable[tuple[str, str]]) -> bool:
        """Whether who sent this metadata has a key."""
        try:
            return self._key(dict(metadata)) is not None
        except GristmillError:
            return False

    def _key(self, metadata: Mapping[str, str | bytes]) -> RouteKey:
        sent = {
            name.encode(): token.encode() if isinstance(token, str) else token
            for name in ("authorization", "x-api-key")
            if (token := metadata.get(name)) is not None
        }
        return self._serving.keys.authenticate(sent)

    async def _refuse(self, context: Any, error: Exception, shown_id: str, model: str = "") -> None:
        """Ends the call: `abort` raises."""
        told = _told(error, shown_id)
        metadata = (*status.metadata(told), *_named(shown_id, model))
        await context.abort(status.code(told), told.message, metadata)


def _told(error: Exception, shown_id: str) -> GristmillError:
    """What the client hears of it; of what is not an error of ours the log alone has the reason."""
    if isinstance(error, GristmillError):
        return error
    logged_request_id.set(shown_id)
    _log.error("a request failed", exc_info=error)
    return Internal("The gateway failed on this request; its log has the reason under the request id.")


def _trailing(answered: Answer, shown_id: str) -> status.Metadata:
    named = tuple([(name.decode(), value.decode()) for name, value in answered.reply.headers])
    return (*_named(shown_id, answered.model), *named)


def _named(shown_id: str, model: str) -> status.Metadata:
    """Which request, and which version where one alone serves."""
    if model:
        return (("x-request-id", shown_id), ("x-gristmill-model", model))
    return (("x-request-id", shown_id),)
