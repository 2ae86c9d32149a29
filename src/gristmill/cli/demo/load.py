"""A client that keeps calling: every outcome is counted."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import numpy as np

from gristmill.client.sync import Client
from gristmill.core.errors import GristmillError


class Caller:
    """One thread that calls an endpoint without pause while the `with` lasts."""

    def __init__(self, connect: Callable[[], Client], endpoint: str, image: np.ndarray) -> None:
        self._connect, self._endpoint, self._image = connect, endpoint, image
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._call, daemon=True)
        self.answers: Counter[str] = Counter()  # by NAME@VERSION that answered
        self.failures: list[str] = []

    def _call(self) -> None:
        with self._connect() as client:
            while not self._stop.is_set():
                try:
                    self.answers[client.infer(self._endpoint, {"image": self._image})["model"]] += 1
                except GristmillError as error:
                    self.failures.append(error.message)

    def __enter__(self) -> Caller:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
