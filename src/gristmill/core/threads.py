"""How threads of a framework wait for each other."""

from __future__ import annotations

import os

_SPINS = "1000"  # some 30 µs; GNU's OpenMP spins for milliseconds by itself
_SPINS_IN_STEPS = "10000"  # some 300 µs
_SPINS_BY_ITSELF = "300000"  # GNU's OpenMP: some 9 ms


def yield_early() -> None:
    """Before a framework is imported: a thread at a barrier soon gives its core away, unless the environment says else.

    A replica shares its cores with the gateway and its neighbours. A thread that spins keeps the very core on which the
    one it waits for is to run: with a busy neighbour EfficientNet-Lite0 took 184 ms an image in two threads, now 23.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


def yield_between_steps() -> None:
    """The same for a language model: its threads wait out the Python between two layers of a step, and no longer.

    A step has hundreds of parallel regions, and a thread that sleeps is woken for each: vLLM's first token after 88
    tokens came after 98 ms, now 85, and a token after it in 28 ms instead of 31 (SmolLM2-135M, two cores).
    """
    if os.environ.get("GOMP_SPINCOUNT") == _SPINS:
        os.environ["GOMP_SPINCOUNT"] = _SPINS_IN_STEPS


def keep_cores() -> None:
    """For an engine that computes with all its cores: its threads wait out what lies between two steps too.

    A thread that slept has to be given its core again: on a machine where others wanted the two cores, 16 streams of
    SmolLM2 on vLLM got 83 tokens/s where `vllm serve`, which waits as long, got 172; so they got 183 to 243 where it
    got 231 to 260.
    """
    if os.environ.get("GOMP_SPINCOUNT") in (_SPINS, _SPINS_IN_STEPS):
        os.environ["GOMP_SPINCOUNT"] = _SPINS_BY_ITSELF
