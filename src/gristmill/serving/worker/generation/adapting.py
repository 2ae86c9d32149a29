"""Which adapters a worker has, brought to what the controller wants of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from gristmill.bundles.digests import verify
from gristmill.core.errors import GristmillError
from gristmill.core.types import AdapterRef
from gristmill.frameworks.generation import Generator
from gristmill.frameworks.language import WEIGHTS
from gristmill.serving.worker.state import WorkerState

_log = logging.getLogger(__name__)


def adapt(generator: Generator, wanted: Sequence[AdapterRef], state: WorkerState) -> None:
    """Unload what is no longer wanted, load what is missing; one that does not load is told of and harms nobody."""
    digests = {one.name: one.digest for one in wanted}
    for name in [name for name, digest in state.adapters.items() if digests.get(name) != digest]:
        generator.unload_adapter(name)
        state.adapters = {other: digest for other, digest in state.adapters.items() if other != name}
    refused: dict[str, str] = {}
    for one in wanted:
        if one.name not in state.adapters:
            try:
                verify(Path(one.folder), one.digest)
                generator.load_adapter(one.name, Path(one.folder) / WEIGHTS)
            except GristmillError as error:
                _log.error("the adapter %s as %s: %s", one.model, one.name, error.message)
                refused[one.name] = error.message
            else:
                _log.info("%s is loaded as %s", one.model, one.name)
                state.adapters = {**state.adapters, one.name: one.digest}
    state.refused = refused
