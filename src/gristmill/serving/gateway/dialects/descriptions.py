"""What the Open Inference Protocol tells of a server and its models, over REST and gRPC alike."""

from __future__ import annotations

from typing import Any

from gristmill.core.errors import Forbidden
from gristmill.core.routes import RouteVersion
from gristmill.core.types import TensorSpec
from gristmill.serving.gateway.metrics import PoolMetrics
from gristmill.serving.gateway.routing import Route

_UNLOAD = "Endpoints are taken away through the control API, not by unload."
SERVER: dict[str, Any] = {
    "name": "gristmill",
    "version": "2",
    "extensions": [
        "binary_tensor_data",
        "classification",
        "model_repository",
        "model_configuration",
        "statistics",
        "explain",
    ],
}
TEXT = TensorSpec("text", "BYTES", (-1,))  # of a language model


def metadata(route: Route, version: RouteVersion) -> dict[str, Any]:
    return {
        "name": route.endpoint.name,
        "versions": [share.number for share in route.shares],
        "platform": f"gristmill_{version.signature.task}",
        "inputs": [_tensor(spec) for spec in version.signature.inputs],
        "outputs": [_tensor(spec) for spec in _outputs(version)],
    } | ({"labels": version.signature.labels} if version.signature.labels else {})


def _outputs(version: RouteVersion) -> tuple[TensorSpec, ...]:
    """What infer answers with: of a language model a text a prompt, whatever its bundle is replayed by."""
    return version.signature.outputs if version.signature.language is None else (TEXT,)


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.dtype, "shape": spec.shape}


def config(route: Route, version: RouteVersion) -> dict[str, Any]:
    return {
        "name": route.endpoint.name,
        "platform": f"gristmill_{version.signature.task}",
        "max_batch_size": route.endpoint.limits.max_batch_rows,
        "input": [_configured(spec) for spec in version.signature.inputs],
        "output": [_configured(spec) for spec in _outputs(version)],
    }


def _configured(spec: TensorSpec) -> dict[str, Any]:
    kind = "TYPE_STRING" if spec.dtype == "BYTES" else f"TYPE_{spec.dtype}"
    return {"name": spec.name, "data_type": kind, "dims": spec.shape[1:]}  # Triton leaves the batch out


def stats(route: Route, version: RouteVersion | None = None) -> dict[str, Any]:
    """Of all versions behind the endpoint, or of one."""
    shares = [share for share in route.shares if version in (None, share.pool.version)]
    return {"model_stats": [_counted(route.endpoint.name, share.number, share.pool.metrics) for share in shares]}


def _counted(name: str, number: str, metrics: PoolMetrics) -> dict[str, Any]:
    good = metrics.requests.get(200, 0)
    return {
        "name": name,
        "version": number,
        "inference_count": int(metrics.batches.sum),
        "execution_count": sum(metrics.batches.counts),
        "inference_stats": {
            "success": {"count": good, "ns": int(metrics.latency.sum * 1e9)},
            "fail": {"count": sum(metrics.requests.values()) - good, "ns": 0},
            "cache_hit": {"count": metrics.cache_hits, "ns": 0},
            "cache_miss": {"count": metrics.cache_misses, "ns": 0},
        },
    }


def index(route: Route) -> list[dict[str, str]]:
    return [
        {
            "name": route.endpoint.name,
            "version": share.number,
            "state": "READY" if share.pool.ready else "UNAVAILABLE",
            "reason": "",
        }
        for share in route.shares
    ]


def loaded(wanted: str) -> dict[str, Any]:
    """What is answered to `load` of a model that is served. Raises Forbidden for `unload`."""
    if wanted == "unload":
        raise Forbidden(_UNLOAD)
    return {}
