"""gRPC against REST with binary tensors: the same CNN, worker, keys and journal, and h2load before both.

python -m benchmarks.grpc_against_rest [--seconds 4] [--turns 3] [--server nghttp2]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from benchmarks._bundles import SIDE, cnn_bundle
from benchmarks._load import h2load
from tests.serving.conftest import free_port
from tests.serving.rig import Rig, rig
from tests.serving.rpc import SERVICE, Caller, raw_request

from gristmill.core.types import GrpcServer

IN_FLIGHT = 32
SHAPES = {"32 connections": (IN_FLIGHT, 1), "32 calls in flight over one channel": (1, IN_FLIGHT)}


class Turn(NamedTuple):
    """Requests a second of REST over 32 connections, and of gRPC in each shape, one right after the other."""

    rest: float
    grpc: dict[str, float]


def turn(made: Rig, seconds: int) -> Turn:
    image = np.random.default_rng(2).integers(0, 256, (1, SIDE, SIDE, 1), np.uint8).tobytes()
    key = {"authorization": f"Bearer {made.key}"}
    body, head = _rest_body(image)
    url = f"http://127.0.0.1:{made.port}/v2/models/bench/infer"
    rest = h2load(url, body, key | {"inference-header-content-length": str(head)}, IN_FLIGHT, seconds)
    message = _grpc_message(image)
    framed = b"\0" + len(message).to_bytes(4, "big") + message
    method = f"http://127.0.0.1:{made.grpc_port}/{SERVICE}/ModelInfer"
    headers = key | {"content-type": "application/grpc", "te": "trailers"}
    rates = {
        what: h2load(method, framed, headers, connections, seconds, streams=streams)
        for what, (connections, streams) in SHAPES.items()
    }
    return Turn(rest, rates)


def _rest_body(image: bytes) -> tuple[bytes, int]:
    parameters = {"binary_data_size": len(image)}
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, SIDE, SIDE, 1], "parameters": parameters}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return head + image, len(head)


def _grpc_message(image: bytes) -> bytes:
    request = raw_request([], "bench", name="image", datatype="UINT8", shape=(1, SIDE, SIDE, 1))
    request.raw_input_contents[0] = image
    return request.SerializeToString()


def check(made: Rig) -> None:
    """h2load counts every 200 as a success, and gRPC's errors are 200 too. Raises RuntimeError."""
    with Caller(made.grpc_port, made.key) as caller:
        told = caller.send("ModelInfer", _grpc_message(bytes(SIDE * SIDE)))
    if told.code != "OK":
        raise RuntimeError(f"gRPC answers {told.code}: {told.says}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=4, help="of each measurement")
    options.add_argument("--turns", type=int, default=3)
    options.add_argument("--server", choices=get_args(GrpcServer), default="nghttp2", help="the setting grpc_server")
    chosen = options.parse_args()
    gateway = {"grpc_port": free_port(), "grpc_server": chosen.server}
    with tempfile.TemporaryDirectory() as folder, rig(Path(folder), free_port(), **gateway) as made:
        bundle, _ = cnn_bundle(Path(folder) / "cnn")
        made.serve("bench", ("bench@1", bundle, 100, [made.add_worker(bundle, "bench@1")]))
        made.push()
        made.start_gateway()
        made.wait_ready()
        check(made)
        turns = [turn(made, chosen.seconds) for _ in range(chosen.turns)]
    print("| gRPC against REST binary, CNN 28×28, 1 row a request | to reach | measured | |\n|---|---|---|---|")
    rest = statistics.median(one.rest for one in turns)
    for what in SHAPES:
        ratio = statistics.median(one.grpc[what] / one.rest for one in turns)
        rate = statistics.median(one.grpc[what] for one in turns)
        print(f"| {what} | ≥ 1 | {ratio:.2f}{'' if ratio >= 1 else ' (missed)'} | {rate:,.0f} against {rest:,.0f} |")


if __name__ == "__main__":
    main()
