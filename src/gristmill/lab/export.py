"""An export run: a version in another framework's format, as a bundle that replays the version's own golden answers."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from gristmill.bundles.digests import verify
from gristmill.bundles.manifest import CARD, GOLDEN, PREPROCESSING
from gristmill.bundles.replay import read_golden
from gristmill.core import plugins
from gristmill.core.errors import Unprocessable
from gristmill.core.types import RunSpec
from gristmill.frameworks.importing import Exporter
from gristmill.lab.events import Events
from gristmill.lab.package import WEIGHTS, Packaged, seal
from gristmill.tasks.preprocessing import decode_preprocessing


def export_run(spec: RunSpec, folder: Path, events: Events) -> Packaged:
    """The bundle stands in `folder/bundle`. Raises Unprocessable: no such export, or its answers differ."""
    if spec.version is None or spec.format is None:
        raise Unprocessable("An export run needs a version and a format.")
    source = Path(spec.version.folder)
    manifest = verify(source, spec.version.digest)
    exporter = _exporter(manifest.runtime, spec.format)
    bundle = folder / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)  # of an attempt that died
    try:
        bundle.mkdir()
        for name in (PREPROCESSING, GOLDEN, CARD):
            shutil.copyfile(source / name, bundle / name)
        preprocessing = decode_preprocessing((bundle / PREPROCESSING).read_bytes())
        examples = preprocessing.apply(read_golden(bundle)[0])
        events.write("message", message=f"exporting to {spec.format}")
        (bundle / WEIGHTS).mkdir()
        exporter.export(source, manifest, examples, bundle / WEIGHTS)
        lineage = msgspec.structs.replace(
            manifest.lineage, run=spec.id, parent=f"{spec.version.model}@{spec.version.version}"
        )
        exported = msgspec.structs.replace(
            manifest, framework=spec.format, runtime=spec.format, architecture={"name": spec.format}, lineage=lineage
        )
        return seal(bundle, exported, spec.resources)
    except BaseException:
        shutil.rmtree(bundle, ignore_errors=True)
        raise


def _exporter(runtime: str, target: str) -> Exporter:
    name = f"{runtime}-{target}"
    if name not in plugins.names("exporters"):
        known = [name.rpartition("-")[2] for name in plugins.names("exporters") if name.startswith(f"{runtime}-")]
        raise Unprocessable(
            f"A version of the runtime {runtime!r} is not exported to {target!r}: {', '.join(known) or 'nothing'} is.",
            field="format",
        )
    exporter: Exporter = plugins.load("exporters", name)()
    return exporter
