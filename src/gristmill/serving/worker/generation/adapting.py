"""Which adapters a worker has, brought to what the controller wants of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from gristmill.bundles.digests import verify
from gristmill.bundles.replay import replay
from gristmill.core.errors import GristmillError
from gristmill.core.types import AdapterRef
from gristmill.frameworks.generation import Generator
from gristmill.frameworks.language import WEIGHTS
from gristmill.serving.worker.state import WorkerState
from gristmill.tasks.protocol import Tensors

_log = logging.getLogger(__name__)
Predict = Callable[[str, Tensors], Tensors]  # with the adapter of this name: golden inputs → the signature's outputs


def adapt(generator: Generator, wanted: Sequence[AdapterRef], state: WorkerState, predict: Predict) -> None:
    """Unload what is no longer wanted, load what is missing; one that does not load is told of and harms nobody."""
    digests = {one.name: one.digest for one in wanted}
    for name in [name for name, digest in state.adapters.items() if digests.get(name) != digest]:
        generator.unload_adapter(name)
        state.adapters = {other: digest for other, digest in state.adapters.items() if other != name}
    refused: dict[str, str] = {}
    for one in wanted:
        if one.name not in state.adapters:
            try:
                _load(generator, one, predict)
            except GristmillError as error:
                _log.error("the adapter %s as %s: %s", one.model, one.name, error.message)
                refused[one.name] = error.message
            else:
                _log.info("%s is loaded as %s", one.model, one.name)
                state.adapters = {**state.adapters, one.name: one.digest}
    state.refused = refused


def _load(generator: Generator, adapter: AdapterRef, predict: Predict) -> None:
    """Raises CorruptBundle, Unprocessable; then the generator is without it."""
    bundle = Path(adapter.folder)
    manifest = verify(bundle, adapter.digest)
    generator.load_adapter(adapter.name, bundle / WEIGHTS)
    try:
        replay(bundle, manifest.signature, partial(predict, adapter.name))
    except GristmillError:
        generator.unload_adapter(adapter.name)
        raise
