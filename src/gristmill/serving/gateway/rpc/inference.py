"""ModelInfer: a gRPC message as a job for the models, and its result as a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from gristmill.core.errors import Malformed
from gristmill.core.routes import RouteVersion
from gristmill.serving.gateway.call import Call
from gristmill.serving.gateway.dialects.infer_reply import chosen, model_version
from gristmill.serving.gateway.dialects.infer_request import RequestedOutput, read_timeout
from gristmill.serving.gateway.rpc.contents import read_inputs
from gristmill.serving.gateway.rpc.open_inference_pb2 import ModelInferRequest, ModelInferResponse
from gristmill.serving.gateway.work import Answer, Header, Reply, Result
from gristmill.serving.wire.tensors import to_bytes

_NO_HEADERS: tuple[Header, ...] = ()


def read_message(kind: Any, message: bytes) -> Any:
    """A message of `kind`. Raises Malformed when the bytes are none."""
    try:
        return kind.FromString(message)
    except DecodeError:
        raise Malformed(f"The message is not a {kind.DESCRIPTOR.name}.") from None


async def infer(call: Call, message: bytes, remaining_s: float | None) -> Answer:
    """`remaining_s`: until the client's own deadline. The reply's body is a ModelInferResponse."""
    request = read_message(ModelInferRequest, message)
    call.size = len(message)
    share = call.route(request.model_name).pick(request.model_version or None)
    job, rows = share.fit.job(read_inputs(request, share.fit))
    outputs = [RequestedOutput(output.name, _parameters(output.parameters)) for output in request.outputs]
    reply = InferReply(request.model_name, request.id, outputs)
    return await call.call(share, job, rows, reply.render, _timeout(request, remaining_s))


def _timeout(request: Any, remaining_s: float | None) -> float | None:
    """The parameter `timeout` cannot outlast the client's own deadline."""
    asked_s = read_timeout(_parameters(request.parameters)) if "timeout" in request.parameters else None
    if asked_s is None or remaining_s is None:
        return remaining_s if asked_s is None else asked_s
    return min(asked_s, remaining_s)


def _parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: getattr(value, kind)
        for name, value in parameters.items()
        if (kind := value.WhichOneof("parameter_choice")) is not None
    }


class InferReply(NamedTuple):
    """How one request wants its answer; the tensors are always in raw_output_contents."""

    name: str
    id: str
    outputs: list[RequestedOutput]

    def render(self, version: RouteVersion, result: Result) -> Reply:
        """Raises Unprocessable for an output that the version does not have."""
        assert not isinstance(result, bytes)
        response = ModelInferResponse(model_name=self.name, model_version=model_version(version), id=self.id)
        for requested in self.outputs or [RequestedOutput(output.name) for output in result]:
            name, dtype, values = chosen(requested, version, result)
            response.outputs.add(name=name, datatype=dtype, shape=values.shape)
            response.raw_output_contents.append(bytes(to_bytes(values, dtype)))
        return Reply(response.SerializeToString(), _NO_HEADERS)
