"""A user's own model code: run in the run's process alone, which packages what it built in a format without code."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from gristmill.core.errors import Unprocessable
from gristmill.frameworks.architectures import Shapes
from gristmill.frameworks.protocol import OwnCode


def build_own(code: OwnCode, architecture: dict[str, Any], shapes: Shapes, kind: type[Any]) -> Any:
    """A model of type `kind`. Raises Unprocessable with one sentence on whatever the code does wrong."""
    place = f"{code.path.name}:{code.function}"
    options = {key: value for key, value in architecture.items() if key not in ("name", "dropout")}
    try:
        made = _function(code)(shapes, **options)
    except Unprocessable:
        raise
    except (Exception, SystemExit) as error:  # a stranger's code raises whatever it does
        first = str(error).strip().split("\n", 1)[0][:200]
        raise Unprocessable(f"The model code {place} failed: {type(error).__name__}: {first}", field="model") from error
    if not isinstance(made, kind):
        raise Unprocessable(
            f"The model code {place} should return a {kind.__module__.partition('.')[0]} {kind.__name__}, and returns "
            f"a {type(made).__name__}.", field="model", expected=kind.__name__, got=type(made).__name__,
        )  # fmt: skip
    return made


def check_model(code: OwnCode, output: np.ndarray, trainable: int, shapes: Shapes) -> None:
    """`output`: of some rows; `trainable`: how many of its tensors training may change.

    Raises Unprocessable when it is not [N, outputs], when its classes went through a softmax, or with nothing to train.
    """
    place = f"The model of {code.path.name}:{code.function}"
    if output.ndim != 2 or output.shape[1] != shapes.outputs:
        raise Unprocessable(
            f"{place} should answer with [N, {shapes.outputs}], and answers with "
            f"[{', '.join(['N', *map(str, output.shape[1:])])}].", field="model",
        )  # fmt: skip
    if shapes.outputs > 1 and (output >= 0).all() and np.allclose(output.sum(axis=1), 1, atol=1e-5):
        raise Unprocessable(f"{place} should answer with logits, and answers with probabilities: end it without its "
                            "softmax, which the loss and serving bring.", field="model")  # fmt: skip
    if not trainable:
        raise Unprocessable(f"{place} has nothing that training could change.", field="model")


def _function(code: OwnCode) -> Any:
    spec = importlib.util.spec_from_file_location("gristmill_own_model", code.path)
    if spec is None or spec.loader is None:
        raise Unprocessable(f"{code.path.name} is no Python file.", field="model")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, code.function, None)
    if not callable(function):
        raise Unprocessable(f"{code.path.name} has no function {code.function!r}.", field="model")
    return function
