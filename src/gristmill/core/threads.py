"""How threads of a framework wait for each other."""

from __future__ import annotations

import os

_SPINS = "1000"  # some 30 µs; GNU's OpenMP spins for milliseconds by itself


def yield_early() -> None:
    """Before a framework is imported: a thread at a barrier soon gives its core away, unless the environment says else.

    A replica shares its cores with the gateway and its neighbours. A thread that spins keeps the very core on which the
    one it waits for is to run: with a busy neighbour EfficientNet-Lite0 took 184 ms an image in two threads, now 23.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
