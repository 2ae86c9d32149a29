"""The card of an imported version: where it is from, what it takes and gives, what is not known of it."""

from __future__ import annotations

from gristmill.bundles.manifest import Manifest
from gristmill.core.types import TensorSpec

_LIMITS = (
    "It was not trained here: its data and its quality are not known. Its golden answers were made at import, from "
    "random inputs; they show that it still computes the same, not that it is right."
)


def import_card(manifest: Manifest) -> str:
    """Markdown."""
    signature = manifest.signature
    labels = f"\n\nClasses: {len(signature.labels)}." if signature.labels else ""
    return (
        f"# {manifest.name}\n\n{manifest.task}, imported from {manifest.lineage.imported_from}, "
        f"{manifest.parameters:,} parameters, runtime {manifest.runtime}, "
        f"licence: {manifest.licence or 'not stated'}.\n\n"
        f"## Signature\n\n{_rows('takes', signature.inputs)}\n{_rows('gives', signature.outputs)}{labels}\n\n"
        f"## Limits\n\n{_LIMITS}\n"
    )


def _rows(verb: str, specs: tuple[TensorSpec, ...]) -> str:
    return "\n".join(f"- {verb} `{spec.name}` {spec.dtype} {list(spec.shape)}" for spec in specs)
