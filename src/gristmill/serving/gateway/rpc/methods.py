"""What a client asks of the server and its models beside inference."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from gristmill.serving.gateway.call import Call
from gristmill.serving.gateway.dialects import descriptions
from gristmill.serving.gateway.rpc import open_inference_pb2 as messages
from gristmill.serving.gateway.rpc.inference import read_message
from gristmill.serving.gateway.serving import Serving
from gristmill.serving.gateway.work import Answer, Reply


def _live(serving: Serving) -> bytes:
    return bytes(messages.ServerLiveResponse(live=True).SerializeToString())


def _ready(serving: Serving) -> bytes:
    return bytes(messages.ServerReadyResponse(ready=not serving.draining).SerializeToString())


async def _server_metadata(call: Call, message: bytes, remaining_s: float | None) -> Answer:
    return _answer(messages.ServerMetadataResponse(**descriptions.SERVER))


async def _model_ready(call: Call, message: bytes, remaining_s: float | None) -> Answer:
    asked = read_message(messages.ModelReadyRequest, message)
    share = call.route(asked.name).pick(asked.version or None)
    return _answer(messages.ModelReadyResponse(ready=share.pool.ready), share.pool.version.model)


async def _model_metadata(call: Call, message: bytes, remaining_s: float | None) -> Answer:
    asked = read_message(messages.ModelMetadataRequest, message)
    route = call.route(asked.name)
    version = route.pick(asked.version or None).pool.version
    told = descriptions.metadata(route, version)
    told.pop("labels", None)  # the message has no field for them
    return _answer(messages.ModelMetadataResponse(**told), version.model)


async def _model_config(call: Call, message: bytes, remaining_s: float | None) -> Answer:
    asked = read_message(messages.ModelConfigRequest, message)
    route = call.route(asked.name)
    version = route.pick(asked.version or None).pool.version
    return _answer(messages.ModelConfigResponse(config=descriptions.config(route, version)), version.model)


async def _model_statistics(call: Call, message: bytes, remaining_s: float | None) -> Answer:
    """Of every model where none is named."""
    asked = read_message(messages.ModelStatisticsRequest, message)
    routes = [call.route(asked.name)] if asked.name else call.routes()
    version = routes[0].pick(asked.version).pool.version if asked.name and asked.version else None
    told = [entry for route in routes for entry in descriptions.stats(route, version)["model_stats"]]
    return _answer(messages.ModelStatisticsResponse(model_stats=told))


async def _load(call: Call, message: bytes, remaining_s: float | None) -> Answer:
    call.route(read_message(messages.RepositoryModelLoadRequest, message).model_name)
    return _answer(messages.RepositoryModelLoadResponse(**descriptions.loaded("load")))


async def _unload(call: Call, message: bytes, remaining_s: float | None) -> Answer:
    call.route(read_message(messages.RepositoryModelUnloadRequest, message).model_name)
    return _answer(messages.RepositoryModelUnloadResponse(**descriptions.loaded("unload")))


async def _repository_index(call: Call, message: bytes, remaining_s: float | None) -> Answer:
    asked = read_message(messages.RepositoryIndexRequest, message)
    entries = [entry for route in call.routes() for entry in descriptions.index(route)]
    models = [entry for entry in entries if not asked.ready or entry["state"] == "READY"]
    return _answer(messages.RepositoryIndexResponse(models=models))


def _answer(message: Any, model: str = "") -> Answer:
    return Answer(Reply(message.SerializeToString(), ()), model)


HEALTH: dict[str, Callable[[Serving], bytes]] = {"ServerLive": _live, "ServerReady": _ready}
METHODS: dict[str, Callable[[Call, bytes, float | None], Awaitable[Answer]]] = {
    "ServerMetadata": _server_metadata,
    "ModelReady": _model_ready,
    "ModelMetadata": _model_metadata,
    "ModelConfig": _model_config,
    "ModelStatistics": _model_statistics,
    "RepositoryIndex": _repository_index,
    "RepositoryModelLoad": _load,
    "RepositoryModelUnload": _unload,
}
