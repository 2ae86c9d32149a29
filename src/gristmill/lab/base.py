"""The version that a run trains on: its bundle, and its preprocessing, which the new version keeps."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from gristmill.bundles.digests import verify
from gristmill.bundles.manifest import PREPROCESSING, Manifest
from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.core.types import RunSpec, Signature, TensorSpec
from gristmill.tasks.options import check_options
from gristmill.tasks.preprocessing import Preprocessing, decode_preprocessing
from gristmill.tasks.recipe import Recipe
from gristmill.tasks.subwords import Subwords


class Base(NamedTuple):
    reference: str  # NAME@VERSION
    folder: Path
    manifest: Manifest
    preprocessing: Preprocessing


def open_base(spec: RunSpec, recipe: Recipe, signature: Signature) -> Base | None:
    """None for a recipe without one; `signature` is what the new version's will be.

    Raises Unprocessable, CorruptBundle.
    """
    if recipe.base is None:
        return None
    if spec.base is None:
        raise Unprocessable("The recipe's base did not come with the run.", field="base")
    folder, reference = Path(spec.base.folder), spec.base.reference
    manifest = verify(folder, spec.base.digest)
    if not _fits(manifest.signature.inputs, signature.inputs):
        raise Unprocessable(
            f"The base {reference} takes {_told(manifest.signature.inputs)}, and the data gives "
            f"{_told(signature.inputs)}.", field="base",
        )  # fmt: skip
    return Base(reference, folder, manifest, _preprocessing(folder, manifest, recipe))


def _preprocessing(folder: Path, manifest: Manifest, recipe: Recipe) -> Preprocessing:
    try:
        kept = decode_preprocessing((folder / PREPROCESSING).read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise CorruptBundle(f"{PREPROCESSING} cannot be read: {error}.", file=PREPROCESSING) from None
    if manifest.signature.language is not None:
        return kept  # the options are those of its tokens
    step = kept.step
    if not isinstance(step, Subwords):
        check_options(recipe.preprocessing, {})
        return kept
    chosen = check_options(recipe.preprocessing, {"max_length": step.max_length})
    return Preprocessing(msgspec.structs.replace(step, max_length=min(step.max_length, chosen["max_length"])))


def _fits(base: tuple[TensorSpec, ...], data: tuple[TensorSpec, ...]) -> bool:
    return len(base) == len(data) and all(
        (one.name, one.dtype, len(one.shape)) == (other.name, other.dtype, len(other.shape))
        and all(-1 in (size, given) or size == given for size, given in zip(one.shape, other.shape, strict=True))
        for one, other in zip(base, data, strict=True)
    )


def _told(inputs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {spec.dtype} {list(spec.shape)}" for spec in inputs)
