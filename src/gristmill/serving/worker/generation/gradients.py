"""Gradients beside the engine: a model of their own, opened when an explanation first asks for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from gristmill.bundles.manifest import Manifest
from gristmill.core import plugins
from gristmill.core.errors import GristmillError, Unprocessable
from gristmill.core.types import Resources
from gristmill.explanation.generated_text import GRADIENTS, OCCLUSION, Along
from gristmill.frameworks.text_gradients import Owed, TextGradients, Way

_LOOK_EVERY_S = 0.005


class Gradients:
    def __init__(self, bundle: Path, manifest: Manifest, resources: Resources) -> None:
        self._opening = (bundle, manifest, resources)
        self._model: TextGradients | None = None
        self.adapters: Mapping[str, Path] = {}  # folders of those that the engine has, by name

    def kind(self) -> type[TextGradients]:
        """Raises Unprocessable where the runtime has none."""
        runtime = self._opening[1].runtime
        if runtime not in plugins.names("text_gradients"):
            raise Unprocessable(f"The runtime {runtime} has no gradients: ask for the method {OCCLUSION}.",
                                field="method", got=GRADIENTS)  # fmt: skip
        try:
            found: type[TextGradients] = plugins.load("text_gradients", runtime)
        except ModuleNotFoundError as missing:
            raise Unprocessable(f"Gradients need the package {missing.name!r}, which is not installed: install it, or "
                                f"ask for the method {OCCLUSION}.", field="method") from missing  # fmt: skip
        return found

    def work(self, along: Along, adapter: str | None) -> Iterator[list[np.ndarray] | None]:
        """A little at each step; the last gives float64 [chosen, prompt tokens] and [chosen]. Raises Unprocessable."""
        yield from self._opened()
        assert self._model is not None
        folder = None if adapter is None else self.adapters.get(adapter)
        if adapter is not None and folder is None:
            raise Unprocessable(f"There is no adapter {adapter!r} on this model.", field="model")
        found: list[Owed] = []
        for place in along.chosen:
            way = Way(along.prompt, along.moves, along.nothing, along.answer, place, along.steps, folder)
            for owed in self._model.attribute(way):
                found += [owed] if owed is not None else []
                yield None
        yield [np.stack([owed.values for owed in found]), np.array([owed.delta for owed in found])]

    def _opened(self) -> Iterator[None]:
        """In a thread: texts that are being written go on."""
        if self._model is not None:
            return
        kind = self.kind()
        opened: list[TextGradients | Exception] = []

        def load() -> None:
            try:
                opened.append(kind.load(*self._opening))
            except Exception as error:
                opened.append(error)

        threading.Thread(target=load, name="gradients", daemon=True).start()
        while not opened:
            time.sleep(_LOOK_EVERY_S)
            yield None
        (made,) = opened
        if isinstance(made, Exception):
            raise made if isinstance(made, GristmillError) else RuntimeError("gradients could not be opened") from made
        self._model = made
