"""Opening a LoRA adapter: on its base, by the engine that computes with both."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gristmill.bundles.digests import verify
from gristmill.core.errors import Unprocessable
from gristmill.core.types import Resources, VersionRef
from gristmill.frameworks.language import WEIGHTS, LanguageRuntime

_ENGINE = "transformers"  # whatever the base's own runtime is


def open_adapted(adapter: Path, base: VersionRef | None, resources: Resources) -> LanguageRuntime:
    """`adapter`: its bundle's folder. Raises Unprocessable where it has no base or does not fit it, CorruptBundle."""
    if base is None:
        raise Unprocessable("This is a LoRA adapter: say with --base NAME@VERSION what it adapts.", field="base")
    folder = Path(base.folder)
    manifest = verify(folder, base.digest)
    if manifest.signature.language is None or manifest.is_adapter:
        raise Unprocessable(f"{base.reference} is no language model that an adapter can be on.", field="base")
    runtime = LanguageRuntime.load(folder, msgspec.structs.replace(manifest, runtime=_ENGINE), resources)
    runtime.adapt(adapter / WEIGHTS)
    return runtime
