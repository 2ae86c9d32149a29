"""A gRPC caller of the gateway that can also send what no well-meant client would."""

from __future__ import annotations

from typing import Any, NamedTuple

import grpc
import numpy as np

from gristmill.serving.gateway.rpc import open_inference_pb2 as messages

SERVICE = "inference.GRPCInferenceService"
Metadata = tuple[tuple[str, str], ...]


class Told(NamedTuple):
    """One answer: the code's name, the message or the error's sentence, the trailing metadata."""

    code: str
    body: bytes
    says: str
    metadata: dict[str, Any]

    def predictions(self, output: int = 0) -> list[float]:
        assert self.code == "OK", self
        raw = messages.ModelInferResponse.FromString(self.body).raw_output_contents[output]
        values: list[float] = np.frombuffer(raw, np.float32).tolist()
        return values


class Caller:
    def __init__(self, port: int, key: str | None) -> None:
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1),
            ("grpc.use_local_subchannel_pool", 1),  # a connection of its own
        ]
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=options)
        self._metadata: Metadata = (("authorization", f"Bearer {key}"),) if key else ()

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def send(
        self, method: str, message: bytes, metadata: Metadata = (), timeout: float | None = 30, **more: Any
    ) -> Told:
        call = self._channel.unary_unary(method if method.startswith("/") else f"/{SERVICE}/{method}")
        try:
            body, ended = call.with_call(message, metadata=(*self._metadata, *metadata), timeout=timeout, **more)
        except grpc.RpcError as error:
            return Told(error.code().name, b"", error.details() or "", dict(error.trailing_metadata() or ()))
        return Told("OK", body, "", dict(ended.trailing_metadata()))

    def infer(self, request: messages.ModelInferRequest, **more: Any) -> Told:
        return self.send("ModelInfer", request.SerializeToString(), **more)

    def stream(self, method: str, sent: list[bytes]) -> list[bytes]:
        """Every answer of a stream. Raises grpc.RpcError."""
        call = self._channel.stream_stream(method)
        return list(call(iter(sent), metadata=self._metadata, timeout=30))


def raw_request(rows: Any, model: str = "tiny", **fields: Any) -> messages.ModelInferRequest:
    """`rows` as one raw FP32 input; fields of the input override what it says of itself."""
    array = np.asarray(rows, np.float32)
    described = {"name": "features", "datatype": "FP32", "shape": array.shape} | fields
    return messages.ModelInferRequest(model_name=model, inputs=[described], raw_input_contents=[array.tobytes()])


def typed_request(contents: dict[str, Any], shape: tuple[int, ...], **fields: Any) -> messages.ModelInferRequest:
    described = {"name": "features", "datatype": "FP32", "shape": shape, "contents": contents} | fields
    return messages.ModelInferRequest(model_name="tiny", inputs=[described])
