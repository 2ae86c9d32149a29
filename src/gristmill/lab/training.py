"""A training that is over: what packaging and the card need to know of it."""

from __future__ import annotations

from typing import NamedTuple

from gristmill.core.types import RunSpec
from gristmill.frameworks.protocol import Trained
from gristmill.lab.loading import Splits
from gristmill.tasks.preprocessing import Preprocessing
from gristmill.tasks.protocol import Task
from gristmill.tasks.recipe import Recipe


class Training(NamedTuple):
    spec: RunSpec
    recipe: Recipe
    task: Task
    splits: Splits
    preprocessing: Preprocessing
    trained: Trained
    base: str | None  # NAME@VERSION that it was trained on
