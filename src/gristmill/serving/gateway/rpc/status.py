"""An error of ours as gRPC has it: the same sentence under gRPC's own code."""

from __future__ import annotations

from typing import Any

import grpc

from gristmill.core.errors import GristmillError

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    402: grpc.StatusCode.RESOURCE_EXHAUSTED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    409: grpc.StatusCode.ABORTED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,  # clients send again: nothing was computed
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
    507: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
Metadata = tuple[tuple[str, str], ...]


def code(error: GristmillError) -> Any:
    return _CODES.get(error.status, grpc.StatusCode.INTERNAL)


def metadata(error: GristmillError) -> Metadata:
    """The machine-readable code, and when to come back: for our readers and for gRPC's own retries."""
    named: Metadata = (("x-gristmill-error", error.code),)
    if error.retry_after_s is None:
        return named
    milliseconds = str(max(1, round(error.retry_after_s * 1e3)))
    return (*named, ("retry-after-ms", milliseconds), ("grpc-retry-pushback-ms", milliseconds))
