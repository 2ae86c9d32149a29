"""A train run: dataset and recipe in, a bundle that has passed its own replay out."""

from __future__ import annotations

from pathlib import Path

from gristmill.core import plugins
from gristmill.core.errors import Unprocessable
from gristmill.core.types import RunSpec
from gristmill.frameworks.protocol import OwnCode, Trainer, TrainJob
from gristmill.lab.base import open_base
from gristmill.lab.events import Events, Heartbeat
from gristmill.lab.loading import Cut, load_examples, share
from gristmill.lab.package import WEIGHTS, Packaged, package
from gristmill.lab.splits import prepare
from gristmill.lab.training import Training
from gristmill.store.blobs import Blobs
from gristmill.tasks.protocol import Task, Windowed
from gristmill.tasks.recipe import Recipe, parse_recipe


def train(spec: RunSpec, folder: Path, events: Events, heartbeat: Heartbeat) -> Packaged:
    """Raises Unprocessable, StorageFull, CorruptBundle; frameworks.protocol.Cancelled after a checkpoint."""
    if spec.recipe is None or spec.dataset is None:
        raise Unprocessable("A train run needs a recipe and a dataset.")
    recipe = parse_recipe(spec.recipe)
    task: Task = plugins.load("tasks", recipe.task)()
    events.write("message", message=f"loading {spec.dataset.name}@{spec.dataset.version}")
    series = Cut(recipe.preprocessing, tuple(recipe.preprocessing.get("series", ())) or None)
    splits = load_examples(spec.dataset, Blobs(spec.blobs_url), task, recipe.data.target, series=series)
    splits = splits._replace(train=share(splits.train, recipe.data, isinstance(task, Windowed)))
    base = open_base(spec, recipe, task.signature(splits.train))
    prepared = prepare(recipe, task, splits, base, folder)
    job = TrainJob(
        recipe,
        prepared.train,
        prepared.validation,
        len(splits.train.labels) if splits.train.labels is not None else None,
        prepared.vocabulary,
        folder / "checkpoints",
        spec.seed,
        spec.resources,
        spec.checkpoint_every_s,
        _own_code(spec, recipe, folder),
        base.folder if base else None,
        prepared.tokenizer,
        prepared.series,
    )
    trainer: Trainer = plugins.load("trainers", recipe.framework)()
    bundle = folder / "bundle"
    trained = trainer.train(job, events, bundle / WEIGHTS)
    events.write("message", message="packaging")
    return package(
        Training(spec, recipe, task, splits, prepared.preprocessing, trained, base.reference if base else None),
        bundle,
        heartbeat.use(),
    )


def _own_code(spec: RunSpec, recipe: Recipe, folder: Path) -> OwnCode | None:
    """The recipe's model code as a file of the run's folder."""
    if recipe.model is None:
        return None
    if spec.own_code is None:
        raise Unprocessable(
            "The recipe's model code did not come with it: train with the CLI or the SDK.", field="model"
        )
    file, _, function = recipe.model.rpartition(":")
    path = folder / "model_code" / Path(file).name
    path.parent.mkdir(exist_ok=True)
    Blobs(spec.blobs_url).fetch(spec.own_code, path)
    return OwnCode(path, function)
