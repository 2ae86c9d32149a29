"""What an architecture must know of the data, and how one is built by its name: the same in every framework."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
from typing import Any

import msgspec
import numpy as np

from gristmill.core import plugins
from gristmill.core.errors import Unprocessable
from gristmill.frameworks.protocol import TrainJob
from gristmill.tasks.series import ScaleSeries


class Shapes(msgspec.Struct, frozen=True):
    """`row`: shape of one row of the model's input tensor; `vocabulary`: number of token ids, 0 without text.

    `seed` is that of the initial weights, `target_mean` and `target_std` are the training targets' of a regression, by
    output of a forecast, whose `targets` are places among the series of its history.
    """

    row: tuple[int, ...]
    outputs: int
    vocabulary: int = 0
    seed: int = 0
    target_mean: float | tuple[float, ...] = 0.0
    target_std: float | tuple[float, ...] = 1.0
    targets: tuple[int, ...] = ()

    @property
    def values(self) -> int:
        return math.prod(self.row)


def chosen(job: TrainJob) -> tuple[dict[str, Any], Shapes]:
    """The recipe's architecture ({"name": ..., options}) and the data's shapes."""
    architecture = job.recipe.architecture.model_dump()
    if job.recipe.regularisation.dropout:
        architecture.setdefault("dropout", job.recipe.regularisation.dropout)
    shapes = Shapes(job.train.row, job.classes or 1, job.vocabulary or 0, job.seed)
    if job.classes is not None:
        return architecture, shapes
    if job.series is not None:
        return architecture, _of_series(shapes, job.series)
    targets = job.train.targets.astype(np.float64)
    return architecture, msgspec.structs.replace(
        shapes, target_mean=float(targets.mean()), target_std=float(targets.std()) or 1.0
    )


def _of_series(shapes: Shapes, series: ScaleSeries) -> Shapes:
    """Outputs are those of all steps, target by target within a step, each in the unit of its own series."""
    mean, std = (tuple(values[place] for place in series.targets) * series.horizon
                 for values in (series.mean, series.std))  # fmt: skip
    return msgspec.structs.replace(shapes, outputs=len(mean), target_mean=mean, target_std=std, targets=series.targets)


def build_architecture(folder: str, framework: str, task: str, architecture: dict[str, Any], shapes: Shapes) -> Any:
    """What `folder`.<task> makes of `architecture`. Raises Unprocessable naming the option."""
    known = _architectures(folder, framework, task)
    name = architecture.get("name")
    if name not in known:
        raise Unprocessable(
            f"{framework} has no architecture {name!r} for {task}: it has {', '.join(sorted(known))}.",
            field="architecture.name", got=name, expected=sorted(known),
        )  # fmt: skip
    options = {key: value for key, value in architecture.items() if key != "name"}
    allowed = list(inspect.signature(known[name]).parameters)[1:]
    for option in options:
        if option not in allowed:
            raise Unprocessable(
                f"The architecture {name!r} has no option {option!r}: it has {', '.join(allowed)}.",
                field=f"architecture.{option}", expected=allowed,
            )  # fmt: skip
    try:
        return known[name](shapes, **options)
    except (TypeError, ValueError, IndexError, AssertionError, RuntimeError) as error:
        raise Unprocessable(f"The architecture {name!r} cannot be built with {options}: {error}.") from None


def _architectures(folder: str, framework: str, task: str) -> dict[str, Any]:
    """Those of this package, and what others have registered as `torch.my-task` or `torch.my-task.anything`."""
    found: dict[str, Any] = {}
    own = f"{folder}.{task.replace('-', '_')}"
    if importlib.util.find_spec(own) is not None:
        found |= importlib.import_module(own).ARCHITECTURES
    wanted = f"{folder.split('.')[-2]}.{task}"
    for name in plugins.names("architectures"):
        if f"{name}.".startswith(f"{wanted}."):
            found |= plugins.load("architectures", name)
    if not found:
        raise Unprocessable(f"{framework} has no architecture for the task {task!r}.", field="task", got=task)
    return found
