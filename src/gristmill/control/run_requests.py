"""What a run may be asked for: each kind's request, and how its names become versions that stay the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from gristmill.control import records, uploads
from gristmill.core import plugins
from gristmill.core.errors import Unprocessable
from gristmill.core.ids import check_name
from gristmill.core.types import DTYPES, Resources, RunKind, Told
from gristmill.data import records as datasets
from gristmill.registry import versions
from gristmill.tasks.protocol import Choosy
from gristmill.tasks.recipe import Recipe, parse_recipe

if TYPE_CHECKING:
    from gristmill.control.platform import Platform

Document = dict[str, Any]
_MOST_CODE_BYTES = 2**20


class Train(msgspec.Struct, forbid_unknown_fields=True, tag="train", tag_field="kind"):
    recipe: dict[str, Any]
    code: str | None = None  # upload of the recipe's model code
    priority: int | None = None


class Evaluate(msgspec.Struct, forbid_unknown_fields=True, tag="evaluate", tag_field="kind"):
    version: str
    dataset: str
    against: str | None = None
    priority: int = 0
    resources: Resources = Resources()


class Import(msgspec.Struct, forbid_unknown_fields=True, tag="import", tag_field="kind"):
    source: str
    upload: str | None = None
    told: Told = Told()
    priority: int = 0
    resources: Resources = Resources()


class Export(msgspec.Struct, forbid_unknown_fields=True, tag="export", tag_field="kind"):
    version: str
    format: str
    priority: int = 0
    resources: Resources = Resources()


Asked = Train | Evaluate | Import | Export


class Wanted(msgspec.Struct):
    """A request with every name resolved to a version: it means the same whenever the run starts."""

    kind: RunKind
    name: str
    request: Document
    resources: Resources
    priority: int


def wanted(platform: Platform, connection: records.Connection, tenant: str, request: Document) -> Wanted:
    """Raises Unprocessable naming the field, NotFound."""
    try:
        asked = msgspec.convert(request, Asked)
    except msgspec.ValidationError as error:
        kind = request.get("kind")
        kinds: list[Any] = [known.__struct_config__.tag for known in get_args(Asked)]
        if kind not in kinds:
            told = f"The field 'kind' should be one of {', '.join(map(str, kinds))}, and is {kind!r}."
            raise Unprocessable(told, field="kind", got=repr(kind)) from None
        raise Unprocessable(f"The {kind} run that is asked for is not valid: {error}.") from None
    return _RESOLVED[type(asked)](platform, connection, tenant, asked)


def _train(platform: Platform, connection: records.Connection, tenant: str, asked: Train) -> Wanted:
    recipe = parse_recipe(asked.recipe)
    task = plugins.load("tasks", recipe.task)()
    if recipe.framework not in plugins.names("trainers"):
        raise Unprocessable(
            f"There is no trainer for {recipe.framework!r}: installed are {', '.join(plugins.names('trainers'))}.",
            field="framework",
        )
    dataset = datasets.get(connection, tenant, recipe.data.dataset, recipe.data.version)
    if isinstance(task, Choosy) and "columns" in dataset.manifest:
        task.check_columns(dataset.manifest["columns"], recipe.data.target or dataset.manifest.get("target"))
    pinned = recipe.model_dump(mode="json")
    pinned["data"]["version"] = dataset.version
    pinned["base"] = _base(connection, tenant, recipe)
    resources = Resources(recipe.resources.cores, recipe.resources.memory, recipe.resources.gpus)
    priority = recipe.priority if asked.priority is None else asked.priority
    request = {
        "recipe": pinned,
        "dataset": dataset.reference,
        "code": _kept(platform, tenant, recipe.model, asked.code),
    }
    return Wanted(RunKind.train, recipe.name, request, resources, priority)


def _base(connection: records.Connection, tenant: str, recipe: Recipe) -> str | None:
    """The version's number is fixed now. Raises NotFound, Unprocessable."""
    if recipe.base is None:
        return None
    base = versions.resolve(connection, tenant, recipe.base)
    if base.manifest.is_adapter:
        adapted = base.manifest.lineage.parent
        raise Unprocessable(f"The base {base.reference} is an adapter of {adapted}: train on that.", field="base")
    if base.manifest.framework != recipe.framework:
        raise Unprocessable(
            f"The base {base.reference} is a version of {base.manifest.framework}, and the recipe's framework is "
            f"{recipe.framework}.", field="base", got=base.manifest.framework, expected=recipe.framework,
        )  # fmt: skip
    return base.reference


def _kept(platform: Platform, tenant: str, model: str | None, code: str | None) -> str | None:
    """The blob of the recipe's model code: an upload is forgotten in a day, a run may be resumed later."""
    if (model is None) != (code is None):
        raise Unprocessable("A recipe's model and the upload of its code go together: use the CLI or the SDK.",
                            field="model")  # fmt: skip
    if code is None:
        return None
    path = uploads.find(platform, tenant, code)
    if path.suffix == uploads.PACKED or path.stat().st_size > _MOST_CODE_BYTES:
        raise Unprocessable(f"Model code is one Python file of at most {_MOST_CODE_BYTES} bytes.", field="model")
    return platform.blobs.put_file(path)


def _evaluate(platform: Platform, connection: records.Connection, tenant: str, asked: Evaluate) -> Wanted:
    subject = versions.resolve(connection, tenant, asked.version)
    rival = versions.resolve(connection, tenant, asked.against) if asked.against else None
    dataset = datasets.resolve(connection, tenant, asked.dataset)
    request = {
        "version": subject.reference,
        "dataset": dataset.reference,
        "against": rival.reference if rival else None,
    }
    return Wanted(RunKind.evaluate, subject.reference, request, asked.resources, asked.priority)


def _import(platform: Platform, connection: records.Connection, tenant: str, asked: Import) -> Wanted:
    if asked.upload is None and "://" not in asked.source:
        raise Unprocessable("An import needs an upload, or a source such as hf://ORG/NAME.", field="upload")
    if asked.upload is not None:
        uploads.find(platform, tenant, asked.upload)
    if asked.told.name is not None:
        check_name(asked.told.name, "model")
    if asked.told.task is not None:
        plugins.load("tasks", asked.told.task)
    for spec in asked.told.inputs:
        if spec.dtype not in (*DTYPES, "BYTES"):
            raise Unprocessable(f"Input {spec.name!r} has the unknown datatype {spec.dtype!r}: known are "
                                f"{', '.join(DTYPES)}, BYTES.", field="inputs", got=spec.dtype)  # fmt: skip
    base = versions.resolve(connection, tenant, asked.told.base).reference if asked.told.base else None
    request = {"source": asked.source, "upload": asked.upload, "told": msgspec.to_builtins(asked.told), "base": base}
    return Wanted(RunKind.import_, asked.told.name or asked.source, request, asked.resources, asked.priority)


def _export(platform: Platform, connection: records.Connection, tenant: str, asked: Export) -> Wanted:
    subject = versions.resolve(connection, tenant, asked.version)
    request = {"version": subject.reference, "format": asked.format}
    return Wanted(RunKind.export, subject.reference, request, asked.resources, asked.priority)


_RESOLVED: dict[type, Callable[..., Wanted]] = {
    Train: _train, Evaluate: _evaluate, Import: _import, Export: _export,
}  # fmt: skip
