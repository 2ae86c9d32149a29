"""What the GPUs of a process have used, by NVML's counters (codecarbon reads the same): joules, and busy seconds."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Sequence
from typing import Any, Protocol

_OURS = "CUDA_VISIBLE_DEVICES"


class Gpu(Protocol):
    def joules(self) -> float | None:
        """A counter that only grows; None where the device has none (before Volta)."""
        ...

    def busy_share(self) -> float | None:
        """Of the last sample (a sixth of a second to a second), the share in which it computed."""
        ...


class NvmlGpu:
    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle

    def joules(self) -> float | None:
        try:
            return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1000
        except self._nvml.NVMLError:
            return None

    def busy_share(self) -> float | None:
        try:
            return float(self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu) / 100
        except self._nvml.NVMLError:
            return None


def granted_gpus(count: int) -> list[Gpu]:
    """The first `count` that the process sees, as frameworks take them; fewer where NVML does not tell them."""
    if not count:
        return []
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
        return [NvmlGpu(nvml, handle) for handle in _visible(nvml)[:count]]
    except Exception:  # no driver, no library, or another's numbering: there is no counter
        return []


def _visible(nvml: Any) -> list[Any]:
    named = [name.strip() for name in os.environ.get(_OURS, "").split(",") if name.strip()]
    places = named or [str(place) for place in range(nvml.nvmlDeviceGetCount())]
    return [
        nvml.nvmlDeviceGetHandleByIndex(int(place)) if place.isdecimal() else nvml.nvmlDeviceGetHandleByUUID(place)
        for place in places
    ]


class GpuMeter:
    """Sums over the devices since it was made; None for what one of `count` has no counter for."""

    def __init__(self, devices: Sequence[Gpu], count: int) -> None:
        self._devices, self._all = devices, len(devices) == count
        self._start = [device.joules() for device in devices]
        self._busy_s: float | None = 0.0 if self._all else None
        self._read = time.monotonic()

    def joules(self) -> float | None:
        spent = [
            None if before is None or (now := device.joules()) is None else now - before
            for device, before in zip(self._devices, self._start, strict=True)
        ]
        known = [one for one in spent if one is not None]
        return sum(known) if self._all and len(known) == len(spent) else None

    def busy_s(self) -> float | None:
        """Each read counts the share of its moment for the time since the one before: read about once a second."""
        now = time.monotonic()
        passed, self._read = now - self._read, now
        shares = [device.busy_share() for device in self._devices]
        if self._busy_s is None or None in shares:
            self._busy_s = None
        else:
            self._busy_s += passed * sum(share for share in shares if share is not None)
        return self._busy_s
