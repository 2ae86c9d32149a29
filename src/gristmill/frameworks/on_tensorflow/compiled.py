"""A forward pass ready to serve: one graph, its variables become constants, run in the thread that calls it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from gristmill.core.types import Resources
from gristmill.frameworks.rows import row_by_row
from gristmill.tasks.protocol import ModelOutput, Tensors

Forward = Callable[[dict[str, Any]], dict[str, Any]]
_Call = Callable[..., Sequence[np.ndarray]]


class Compiled:
    """`forward`: tensors by name → tensors by name. `specs`: its inputs, the sizes that may vary left open.

    A model whose batch is fixed at one row is run row by row.
    """

    def __init__(self, forward: Forward, specs: Sequence[Any], resources: Resources) -> None:
        self._names, self._outputs = [spec.name for spec in specs], list[str]()
        self._dtypes = [spec.dtype.as_numpy_dtype for spec in specs]
        self._one_by_one = any(spec.shape.rank and spec.shape[0] == 1 for spec in specs)

        def flat(*values: Any) -> list[Any]:
            found = forward(dict(zip(self._names, values, strict=True)))
            self._outputs = list(found)
            return [tf.identity(tensor) for tensor in found.values()]

        function = tf.function(flat).get_concrete_function(*specs)
        frozen = convert_variables_to_constants_v2(function)
        # what holds more than variables (a table of words) stays a function of TensorFlow's eager runtime
        more = len(frozen.inputs) > len(specs)
        self._call: _Call = _eager(function) if more else _session(frozen, resources)

    def __call__(self, inputs: Tensors) -> ModelOutput:
        """The output of a model with one, or each by its name."""
        return row_by_row(self._compute, inputs) if self._one_by_one else self._compute(inputs)

    def _compute(self, inputs: Tensors) -> ModelOutput:
        values = inputs.values() if len(inputs) == 1 else [inputs[name] for name in self._names]
        found = self._call(*(np.asarray(value, dtype) for value, dtype in zip(values, self._dtypes, strict=True)))
        return found[0] if len(found) == 1 else dict(zip(self._outputs, found, strict=True))


def _session(frozen: Any, resources: Resources) -> _Call:
    """A session's callable: for a small model 5 µs a call where an eager function takes 250 (TensorFlow 2.21)."""
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(frozen.graph.as_graph_def(), name="")
    # fewer than 0 operators at once: each runs in the calling thread, which wakes no other
    threads = {"intra_op_parallelism_threads": max(1, int(resources.cores)), "inter_op_parallelism_threads": -1}
    config = config_pb2.ConfigProto(device_count={"GPU": resources.gpus}, **threads)
    config.gpu_options.allow_growth = True
    options = config_pb2.CallableOptions(
        feed=[tensor.name for tensor in frozen.inputs], fetch=[tensor.name for tensor in frozen.outputs]
    )
    call: _Call = tf.compat.v1.Session(graph=graph, config=config)._make_callable_from_options(options)
    return call


def _eager(function: Any) -> _Call:
    return lambda *values: [tensor.numpy() for tensor in function(*(tf.constant(value) for value in values))]
