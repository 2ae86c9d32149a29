"""A SavedModel's graph read as data before TensorFlow opens it: what it may do when it runs, and its signature."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.core.types import TensorSpec

GRAPH = "saved_model.pb"
SERVING = "serving_default"
# Operators that reach beyond the graph: files, Python, other processes (of the 1,462 in TensorFlow 2.21).
_FORBIDDEN = re.compile(
    r".*File(s|System\w*|Writer|Dataset)?(V2)?|.*PyFunc.*|LoadDataset|LoadAndRemapMatrix|ImmutableConst|DumpGraph\w*"
    r"|.*Reader.*|.*Record(Dataset|Input)?(V2)?|TextLine.*|.*SqlDataset|LMDB.*|.*MatchingFiles.*|RemoteCall|.*Rpc.*"
    r"|Debug.*|Create\w*Writer|Write\w*Summary|SummaryWriter|.*Snapshot.*|Print(V2)?|_?(Host)?(Send|Recv)|Collective.*"
    r"|CacheDataset.*|DecodeProtoV2|EncodeProto|Save(Dataset|Slices)\w*|DistributedSave|Restore(Slice)?|Save"
)
_SAVER = re.compile(r"SaveV2|RestoreV2|MergeV2Checkpoints|ShardedFile\w*")  # every SavedModel has these, in its saver
_DTYPES = {
    "DT_BOOL": "BOOL", "DT_UINT8": "UINT8", "DT_UINT16": "UINT16", "DT_UINT32": "UINT32", "DT_UINT64": "UINT64",
    "DT_INT8": "INT8", "DT_INT16": "INT16", "DT_INT32": "INT32", "DT_INT64": "INT64", "DT_HALF": "FP16",
    "DT_FLOAT": "FP32", "DT_DOUBLE": "FP64", "DT_STRING": "BYTES",
}  # fmt: skip


def read_graph(folder: Path) -> Any:
    """The one meta graph, checked. Raises CorruptBundle, Unprocessable naming the operator."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel()
    try:
        saved.ParseFromString((folder / GRAPH).read_bytes())
    except (DecodeError, OSError) as error:
        raise CorruptBundle(f"{GRAPH} is not a readable SavedModel.", file=GRAPH) from error
    if not saved.meta_graphs:
        raise CorruptBundle(f"{GRAPH} holds no graph.", file=GRAPH)
    for meta in saved.meta_graphs:
        _check(meta)
    return saved.meta_graphs[0]


def signature_of(meta: Any) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of `serving_default`, by name. Raises Unprocessable when there is no such signature."""
    if SERVING not in meta.signature_def:
        raise Unprocessable(f"The SavedModel has no signature {SERVING!r}: export the model with one.", field="source")
    signature = meta.signature_def[SERVING]
    return _specs(signature.inputs), _specs(signature.outputs)


def _check(meta: Any) -> None:
    from tensorflow.python.framework import op_def_registry

    functions = {function.signature.name for function in meta.graph_def.library.function}
    saver = {name.split(":")[0] for name in (meta.saver_def.save_tensor_name, meta.saver_def.restore_op_name) if name}
    savers: set[str] = set()
    callers: dict[str, set[str]] = defaultdict(set)
    for owner, node in _nodes(meta):
        if node.op not in functions and op_def_registry.get(node.op) is None:
            raise Unprocessable(f"The SavedModel uses the operator {node.op!r}, which TensorFlow does not have.",
                                field=node.op)  # fmt: skip
        if _FORBIDDEN.fullmatch(node.op):
            raise _refused(node.op)
        if _SAVER.fullmatch(node.op):
            savers.add(owner)
        for function in _called(node, functions):
            callers[function].add(owner or node.name)
    for owner in savers:
        if not callers[owner] or callers[owner] - saver:
            raise _refused("SaveV2")
    _check_saver_is_apart(meta, saver)


def _check_saver_is_apart(meta: Any, saver: set[str]) -> None:
    """No signature may run the saver: nothing hangs on it."""
    used = {name.lstrip("^").split(":")[0] for node in meta.graph_def.node for name in node.input}
    used |= {
        tensor.name.split(":")[0] for signature in meta.signature_def.values() for tensor in signature.outputs.values()
    }
    if used & saver:
        raise _refused("SaveV2")


def _refused(operator: str) -> Unprocessable:
    return Unprocessable(
        f"The SavedModel's graph has the operator {operator!r}, which reaches beyond it: export the model without it.",
        field=operator,
    )


def _nodes(meta: Any) -> Iterator[tuple[str, Any]]:
    """Each node with the function that it stands in, or ''."""
    for node in meta.graph_def.node:
        yield "", node
    for function in meta.graph_def.library.function:
        for node in function.node_def:
            yield function.signature.name, node


def _called(node: Any, functions: set[str]) -> Iterator[str]:
    if node.op in functions:
        yield node.op
    for value in node.attr.values():
        yield from (function.name for function in (value.func, *value.list.func) if function.name)


def _specs(tensors: Any) -> tuple[TensorSpec, ...]:
    from tensorflow.core.framework.types_pb2 import DataType

    found = []
    for name, tensor in sorted(tensors.items()):
        dtype = _DTYPES.get(DataType.Name(tensor.dtype))
        if dtype is None:
            raise Unprocessable(f"The tensor {name!r} has a type that cannot be served.", field=name)
        found.append(TensorSpec(name, dtype, tuple(int(size.size) for size in tensor.tensor_shape.dim)))
    return tuple(found)
