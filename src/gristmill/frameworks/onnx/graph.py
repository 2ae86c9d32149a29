"""An ONNX file read without its weights, and refused when running it would reach beyond its own folder or need code."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from gristmill.bundles.digests import check_path
from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.core.types import TensorSpec

# What onnxruntime brings itself; any other domain's operators come out of a library of native code.
_OWN_DOMAINS = frozenset(("", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "com.microsoft"))
_DTYPES: dict[int, str] = {
    TensorProto.BOOL: "BOOL", TensorProto.UINT8: "UINT8", TensorProto.UINT16: "UINT16", TensorProto.UINT32: "UINT32",
    TensorProto.UINT64: "UINT64", TensorProto.INT8: "INT8", TensorProto.INT16: "INT16", TensorProto.INT32: "INT32",
    TensorProto.INT64: "INT64", TensorProto.FLOAT16: "FP16", TensorProto.FLOAT: "FP32", TensorProto.DOUBLE: "FP64",
    TensorProto.STRING: "BYTES",
}  # fmt: skip


def read_graph(path: Path) -> ModelProto:
    """The checked model, external data left where it is. Raises CorruptBundle or Unprocessable with one sentence."""
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise CorruptBundle(f"{path.name} is not a readable ONNX file.", file=path.name) from error
    if not model.graph.output:
        raise CorruptBundle(f"{path.name} is not an ONNX model: it has no outputs.", file=path.name)
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL:
            _check_external(tensor, path.parent)
    own = _OWN_DOMAINS | {function.domain for function in model.functions}
    for node in _nodes(model):
        if node.domain not in own:
            raise Unprocessable(
                f"{path.name} uses the operator {node.op_type!r} of {node.domain!r}, which only a library of custom "
                "operators has: export it with ONNX's own operators.", field=node.op_type,
            )  # fmt: skip
    return model


def external_files(model: ModelProto) -> set[str]:
    """Names of the files beside the model that hold its weights; they were checked."""
    tensors = (tensor for tensor in _tensors(model) if tensor.data_location == TensorProto.EXTERNAL)
    return {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}


def inputs_of(model: ModelProto) -> tuple[TensorSpec, ...]:
    """What must be fed: the graph's inputs that no weight fills."""
    filled = {tensor.name for tensor in model.graph.initializer}
    return tuple(_spec(value) for value in model.graph.input if value.name not in filled)


def outputs_of(model: ModelProto) -> tuple[TensorSpec, ...]:
    return tuple(_spec(value) for value in model.graph.output)


def parameters_of(model: ModelProto) -> int:
    return sum(math.prod(tensor.dims) for tensor in model.graph.initializer)


def metadata_of(model: ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    dtype = _DTYPES.get(tensor.elem_type)
    if not value.type.HasField("tensor_type") or dtype is None:
        raise Unprocessable(f"The tensor {value.name!r} has a type that cannot be served: numbers and strings can.",
                            field=value.name)  # fmt: skip
    sizes = (size.dim_value if size.HasField("dim_value") else -1 for size in tensor.shape.dim)
    return TensorSpec(value.name, dtype, tuple(size if size > 0 else -1 for size in sizes))


def _check_external(tensor: TensorProto, folder: Path) -> None:
    locations = [entry.value for entry in tensor.external_data if entry.key == "location"]
    if len(locations) != 1:  # readers differ in which of several they take
        raise Unprocessable(f"The weights of {tensor.name!r} lie in {len(locations)} places at once: export the model "
                            "again.", field=tensor.name)  # fmt: skip
    (location,) = locations
    try:
        check_path(location)
    except CorruptBundle:
        raise Unprocessable(
            f"The weights of {tensor.name!r} lie at {location!r}, outside the model's folder: "
            "export the model with its weights inside or beside it.", field=tensor.name,
        ) from None  # fmt: skip
    path = folder / location
    if path.is_symlink() or not path.is_file():
        raise Unprocessable(f"The weights of {tensor.name!r} should lie in {location!r} beside the model, and do not: "
                            "import the folder that holds both.", field=location)  # fmt: skip


def _graphs(model: ModelProto) -> Iterator[GraphProto]:
    waiting = [model.graph]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            waiting += _subgraphs(node)


def _subgraphs(node: NodeProto) -> list[GraphProto]:
    return [
        graph
        for attribute in node.attribute
        for graph in ((attribute.g,) if attribute.HasField("g") else ()) + tuple(attribute.graphs)
    ]


def _nodes(model: ModelProto) -> Iterator[NodeProto]:
    for graph in _graphs(model):
        yield from graph.node
    waiting = [node for function in model.functions for node in function.node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [inner for graph in _subgraphs(node) for inner in graph.node]


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """All of them: weights, sparse weights, and constants inside attributes at any depth."""
    for graph in _graphs(model):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in _nodes(model):
        for attribute in node.attribute:
            yield from _constants(attribute)


def _constants(attribute: AttributeProto) -> Iterator[TensorProto]:
    yield attribute.t
    yield from attribute.tensors
    for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
        yield from (sparse.values, sparse.indices)
