"""The recipe: a YAML file that says how a version is made. A wrong field names itself and the nearest right one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gristmill.core.errors import GristmillError, Unprocessable
from gristmill.core.ids import check_name
from gristmill.core.sizes import parse_size
from gristmill.tasks.frame import Frame

_MODEL_CODE = re.compile(r".+\.py:[A-Za-z_]\w*")
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataPart(_Part):
    dataset: str = Field(description="name of the dataset")
    version: Count | None = Field(None, description="its version; the newest where absent")
    target: str | None = Field(None, description="column to predict, or a list of series; the dataset's where absent")
    rows: Count | None = Field(None, description="train on so many of the training rows; all where absent")
    fraction: Annotated[float, Field(gt=0, le=1)] | None = Field(None, description="train on this share of them")

    @field_validator("target", mode="before")
    @classmethod
    def _joined(cls, value: object) -> object:
        named = isinstance(value, list) and all(isinstance(one, str) for one in value)
        return ",".join(value) if named else value  # type: ignore[arg-type]


class Architecture(BaseModel):
    """`name` and what that architecture takes; the framework checks the rest against its own."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str = Field(description="mlp, cnn, vit, bilstm, bigru, transformer, lstm, gru, gpt")


class Adapter(_Part):
    """Low-rank adaptation (Hu et al., ICLR 2022, "LoRA"): the base's own weights stay as they are."""

    name: Literal["lora"] = Field("lora", description="lora")
    rank: Count = Field(8, description="of the update of each matrix")
    alpha: Positive = Field(16.0, description="the update is scaled by alpha / rank")
    dropout: Fraction = Field(0.0, description="before the update")
    targets: list[str] | None = Field(
        None, description="layers by the ends of their names; all linear ones where absent"
    )
    merge: bool = Field(
        True, description="add what was learned to the base's weights; false: the version is the adapter alone"
    )


class Loss(_Part):
    name: Literal["cross-entropy", "focal", "bce", "mse", "mae", "huber"] | None = Field(
        None, description="the task's default where absent"
    )
    label_smoothing: Fraction = Field(0.0, description="share of the target spread over all classes")
    class_weights: Literal["balanced"] | None = Field(None, description="balanced: inverse to class frequency")
    delta: Positive = Field(
        1.0, description="Huber: where it turns from square to linear, in units of the target's std"
    )
    gamma: NotNegative = Field(2.0, description="focal: how much easy examples are discounted")


class Optimiser(_Part):
    name: Literal["sgd", "adamw", "adafactor"] = Field("adamw", description="update rule")
    learning_rate: Positive = Field(1e-3, description="peak step size")
    weight_decay: NotNegative = Field(0.01, description="decoupled L2; none on norms and biases")
    momentum: Fraction = Field(0.9, description="SGD")
    nesterov: bool = Field(False, description="SGD")
    betas: tuple[Fraction, Fraction] = Field((0.9, 0.999), description="AdamW")
    eps: Positive = Field(1e-8, description="AdamW")


class Schedule(_Part):
    name: Literal["constant", "linear", "cosine", "one-cycle", "step"] = Field(
        "constant", description="of the learning rate"
    )
    warmup_steps: Annotated[int, Field(ge=0)] = Field(0, description="optimiser steps of linear warm-up")
    step_epochs: Count = Field(10, description="step: epochs between decays")
    decay: Annotated[float, Field(gt=0, le=1)] = Field(0.1, description="step: factor at each decay")


class Regularisation(_Part):
    l1: NotNegative = Field(0.0, description="weight of the sum of absolute weights")
    l2: NotNegative = Field(0.0, description="weight of half the sum of squared weights, in the loss")
    dropout: Fraction = Field(0.0, description="share of activations dropped")
    mixup: NotNegative = Field(0.0, description="alpha of the Beta distribution; 0 is off")
    clip_norm: Positive | None = Field(None, description="largest norm of the gradient")
    ema: Fraction = Field(0.0, description="decay of the weights' moving average; 0 is off")


class Augmentation(_Part):
    """Each time that a training image is seen it is another one; validation and serving see images as they are."""

    flip: bool = Field(False, description="mirror half of the images, left to right")
    shift: Annotated[int, Field(ge=0)] = Field(0, description="pixels: move each image by up to so many, both ways")
    erase: Annotated[int, Field(ge=0)] = Field(0, description="pixels: blank a square of this side in each image")


class EarlyStopping(_Part):
    patience: Count = Field(5, description="epochs without improvement")
    min_delta: NotNegative = Field(0.0, description="least improvement that counts")
    metric: str = Field("validation/loss", description="validation/loss or validation/<metric of the task>")


class Training(_Part):
    epochs: Count = Field(10, description="passes over the training rows")
    batch_size: Count = Field(64, description="rows a forward pass")
    accumulate: Count = Field(1, description="forward passes an optimiser step")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="of the forward pass")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="of weights, order, dropout and mixup")
    compile: bool = Field(False, description="compile the model: torch.compile, or XLA in keras and tensorflow")
    early_stopping: EarlyStopping | None = Field(None, description="stop, and keep the best epoch's weights")


class ResourcesPart(_Part):
    cores: Positive = Field(1.0, description="processor cores")
    memory: int = Field(2 * 2**30, description="bytes, or text such as 2GiB")
    gpus: Annotated[int, Field(ge=0)] = Field(0, description="GPUs")

    @field_validator("memory", mode="before")
    @classmethod
    def _read_size(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return parse_size(value)
        except Unprocessable:
            raise ValueError("should be a size such as 2GiB") from None


class Recipe(_Part):
    name: str = Field(description="the model's name")
    task: str = Field(description="what the model is for, such as image-classification")
    data: DataPart
    framework: str = Field("torch", description="torch, keras, tensorflow, or another that is installed")
    preprocessing: dict[str, Any] = Field(default_factory=dict, description="options of the task's preprocessing")
    model: str | None = Field(
        None, description="own model code, path/to/model.py:function; architecture then holds the function's options"
    )
    base: str | None = Field(
        None, description="version to start from, such as minilm@1; its architecture and its preprocessing are kept"
    )
    base_share: Fraction = Field(
        0.0, description="share of the base's capitalised cost that the new version takes over"
    )
    adapter: Adapter | None = Field(
        None, description="train a low-rank adapter of the base; all of its weights where absent"
    )
    architecture: Architecture
    loss: Loss = Loss()
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    regularisation: Regularisation = Regularisation()
    augmentation: Augmentation = Augmentation()
    training: Training = Training()
    resources: ResourcesPart = ResourcesPart()
    priority: int = Field(0, description="higher runs first")

    @model_validator(mode="before")
    @classmethod
    def _own_code_and_a_base_need_no_architecture(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not (values.get("model") or values.get("base")):
            return values
        given = values.get("architecture") or {}
        name = {"name": "own" if values.get("model") else "base"}
        return values | {"architecture": name | given} if isinstance(given, dict) else values

    @field_validator("model")
    @classmethod
    def _names_a_function(cls, value: str | None) -> str | None:
        if value is not None and not _MODEL_CODE.fullmatch(value):
            raise ValueError("should name a file and a function, such as models/model.py:build")
        return value

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        check_name(self.name, "model")
        for contradiction in _contradictions(self):
            raise ValueError(contradiction)
        return self


_FORECASTING = "time-series-forecasting"
_CLASSIFICATION_LOSSES = ("cross-entropy", "focal", "bce")
_ARCHITECTURE_TASKS = {
    "mlp": ("tabular-classification", "tabular-regression", "image-classification"),
    "cnn": ("image-classification",),
    "bilstm": ("text-classification",),
    "bigru": ("text-classification",),
    "transformer": ("text-classification",),
    "vit": ("image-classification",),
    "lstm": (_FORECASTING,),
    "gru": (_FORECASTING,),
    "gpt": ("text-generation",),
}
_WITHOUT_IMAGES = {task for tasks in _ARCHITECTURE_TASKS.values() for task in tasks} - {"image-classification"}


def _contradictions(recipe: Recipe) -> Iterator[str]:
    loss, regression = recipe.loss, recipe.task.endswith("-regression") or recipe.task == _FORECASTING
    if recipe.data.rows and recipe.data.fraction:
        yield "data.rows: says what data.fraction says too; keep one of them"
    if loss.name and regression == (loss.name in _CLASSIFICATION_LOSSES):
        yield f"loss.name: {loss.name} does not fit {recipe.task}"
    if regression and recipe.regularisation.mixup:
        yield f"regularisation.mixup: mixes class labels, and {recipe.task} has none"
    if regression and loss.class_weights:
        yield f"loss.class_weights: weights classes, and {recipe.task} has none"
    if loss.label_smoothing and (regression or loss.name not in (None, "cross-entropy")):
        yield "loss.label_smoothing: goes with cross-entropy only"
    if recipe.augmentation != Augmentation() and recipe.task in _WITHOUT_IMAGES:
        yield f"augmentation: changes images, and {recipe.task} has none"
    fitting = _ARCHITECTURE_TASKS.get(recipe.architecture.name)
    if fitting and recipe.task not in fitting:
        yield f"architecture.name: {recipe.architecture.name} is for {' and '.join(fitting)}, not {recipe.task}"
    if recipe.model and recipe.architecture.name != "own":
        yield f"architecture.name: the model code builds the model, so {recipe.architecture.name} cannot"
    if recipe.model and recipe.framework == "transformers":
        yield "model: transformers trains its own models; give model code to torch, keras or tensorflow"
    if recipe.architecture.name == "own" and not recipe.model:
        yield "architecture.name: own needs model, the file and function that build it"
    yield from _of_a_base(recipe)
    yield from _of_a_forecast(recipe)
    if recipe.optimiser.nesterov and (recipe.optimiser.name != "sgd" or not recipe.optimiser.momentum):
        yield "optimiser.nesterov: needs sgd with momentum"
    if recipe.training.precision == "fp16" and not recipe.resources.gpus:
        yield "training.precision: fp16 needs a GPU; use bf16 or fp32 on a processor"


def _of_a_base(recipe: Recipe) -> Iterator[str]:
    if recipe.model and recipe.base:
        yield "base: the model code builds the model; keep one of model and base"
    if recipe.base and recipe.architecture.name != "base":
        yield f"architecture.name: the base brings its architecture, so {recipe.architecture.name} cannot"
    if recipe.architecture.name == "base" and not recipe.base:
        yield "architecture.name: base needs base, the version to start from"
    if recipe.adapter and not recipe.base:
        yield "adapter: adapts a base; name the version with base"
    if recipe.adapter and not recipe.adapter.merge and recipe.task != "text-generation":
        yield f"adapter.merge: false is for text-generation; a version for {recipe.task} is whole"
    if recipe.base_share and not recipe.base:
        yield "base_share: is of a base; name the version with base"


def _of_a_forecast(recipe: Recipe) -> Iterator[str]:
    """What its own frame shows to be wrong is told before a run is made."""
    if recipe.task == _FORECASTING:
        try:
            Frame.of(recipe.preprocessing)
        except Unprocessable as error:
            yield error.message.removeprefix("The recipe's ").rstrip(".")


def read_recipe(text: str) -> Recipe:
    """Parse and validate YAML. Raises Unprocessable naming the field, or the line of a YAML mistake."""
    return parse_recipe(read_mapping(text))


def read_mapping(text: str) -> dict[str, Any]:
    """The YAML's mapping, unvalidated, so that fields can be set before. Raises Unprocessable."""
    try:
        mapping = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise Unprocessable(f"The recipe is not valid YAML{where}: {getattr(error, 'problem', error)}.") from None
    if not isinstance(mapping, dict):
        raise Unprocessable("The recipe is empty or not a mapping: write fields such as 'name: digits'.")
    return mapping


def parse_recipe(mapping: Mapping[str, Any]) -> Recipe:
    """Validate. Raises Unprocessable in one sentence on the first mistake."""
    try:
        return Recipe.model_validate(dict(mapping))
    except ValidationError as error:
        raise Unprocessable(_sentence(error), field=_place(error.errors()[0]["loc"])) from None
    except GristmillError as error:
        raise Unprocessable(f"The recipe's {error.message}", **error.details) from None


def set_fields(mapping: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """A copy with `training.epochs=3` and the like applied; values are read as YAML. Raises Unprocessable."""
    changed = dict(mapping)
    for assignment in assignments:
        path, separator, value = assignment.partition("=")
        if not separator or not all(path.split(".")):
            raise Unprocessable(f"{assignment!r} does not set a field: write it as training.epochs=3.", got=assignment)
        _set(changed, path.split("."), yaml.safe_load(value), path)
    return changed


def _set(mapping: dict[str, Any], keys: list[str], value: Any, path: str) -> None:
    for key in keys[:-1]:
        below = mapping.get(key) or {}
        if not isinstance(below, dict):
            raise Unprocessable(f"{path!r} cannot be set: {key!r} has no fields.", field=path)
        mapping[key] = below = dict(below)
        mapping = below
    mapping[keys[-1]] = value


def _place(location: Sequence[int | str]) -> str:
    return ".".join(map(str, location))


def _sentence(error: ValidationError) -> str:
    found = error.errors()
    # a name that is none comes first: what is lacking may stand under it
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    place = _place(first["loc"])
    if first["type"] == "extra_forbidden":
        known = _fields_at(first["loc"][:-1])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."
        if place == "dataset":
            hint = _as_data(first.get("input"))
        return f"The recipe has no field {place!r}: {hint}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"The recipe lacks the field {place!r}."
    if not place:
        return f"The recipe contradicts itself: {message}."
    given = first.get("input")
    if place == "data":
        return f"The recipe's data is {given!r}: {_as_data(given)}"
    if first["type"] == "model_type":
        return f"The recipe's {place} is {given!r}, but should hold fields: {', '.join(_fields_at(first['loc']))}."
    expected = message.removeprefix("Input ")
    return f"The recipe's {place} is {given!r}, but {expected}."


def _as_data(given: object) -> str:
    name = given if isinstance(given, str) and given else "NAME"
    return f"write the dataset as data: {{dataset: {name}}}."


def _fields_at(location: Sequence[int | str]) -> list[str]:
    part: Any = Recipe
    for key in location:
        annotation = part.model_fields[str(key)].annotation
        options = [*getattr(annotation, "__args__", ()), annotation]
        part = next(option for option in options if isinstance(option, type) and issubclass(option, BaseModel))
    return list(part.model_fields)
