"""What this process has used: CPU and GPU time, peak memory and energy, each with how it is known.

Counters first: RAPL for the processor, NVML for GPUs. Without RAPL it is codecarbon's model of a process: thermal
design power × the process's share of core time. codecarbon itself stays outside: it asks for a psutil that KServe's
client refuses, and its tables take 60 MiB of a worker's memory.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from gristmill.core.gpus import Gpu, GpuMeter, granted_gpus
from gristmill.core.settings import DEFAULT_WATTS_A_CORE
from gristmill.core.types import Basis, Measure, ResourceUse

WATTS_A_CORE = "GRISTMILL_WATTS_A_CORE"  # the setting, as the controller's children see it
PUE = "GRISTMILL_PUE"  # likewise
_NVML_ERROR = 0.05  # of a GPU's power reading, by NVIDIA's nvidia-smi manual


class EnergyMeter(Protocol):
    def read(self, cpu_s: float, wall_s: float) -> Measure:
        """Joules since the meter was made."""
        ...


class RaplMeter:
    """Package energy counters of the processor (Intel RAPL, AMD through the same interface), under /sys/class/powercap.

    The counter is the whole package's; this process gets its share of the machine's busy core time.
    """

    def __init__(self, zones: list[Path]) -> None:
        self._zones = zones
        self._last = self._counters()
        self._joules = 0.0
        self._busy_start = _machine_busy_s()

    @classmethod
    def found(cls) -> RaplMeter | None:
        zones = [
            zone for zone in sorted(Path("/sys/class/powercap").glob("intel-rapl:[0-9]*")) if zone.name.count(":") == 1
        ]
        readable = [zone for zone in zones if os.access(zone / "energy_uj", os.R_OK)]
        return cls(readable) if readable else None

    def _counters(self) -> list[int]:
        return [int((zone / "energy_uj").read_text()) for zone in self._zones]

    def read(self, cpu_s: float, wall_s: float) -> Measure:
        now = self._counters()
        for zone, before, after in zip(self._zones, self._last, now, strict=True):
            wrapped = int((zone / "max_energy_range_uj").read_text()) if after < before else 0
            self._joules += (after - before + wrapped) / 1e6
        self._last = now
        busy = _machine_busy_s() - self._busy_start
        share = min(1.0, cpu_s / busy) if busy > 0 else 0.0
        return Measure(self._joules * share, "J", Basis.measured, "RAPL package counter, share of busy core time", 0.1)


class CpuPowerModel:
    """No counter: watts of one busy core × core-seconds. The wattage is assumed, so the figure is modelled."""

    def __init__(self, watts_a_core: float | None = None) -> None:
        self._watts = watts_a_core or float(os.environ.get(WATTS_A_CORE, DEFAULT_WATTS_A_CORE))

    def read(self, cpu_s: float, wall_s: float) -> Measure:
        return Measure(cpu_s * self._watts, "J", Basis.modelled, f"TDP model, {self._watts:g} W a busy core", 0.5)


def _machine_busy_s() -> float:
    fields = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    idle = fields[3] + fields[4]
    return (sum(fields[:8]) - idle) / os.sysconf("SC_CLK_TCK")


class Meter:
    """Reads what this process and its ended children have used since the meter was made; `gpus` were granted to it."""

    def __init__(self, energy: EnergyMeter | None = None, gpus: int = 0, devices: Sequence[Gpu] | None = None) -> None:
        self._energy: EnergyMeter = energy or RaplMeter.found() or CpuPowerModel()
        found = granted_gpus(gpus) if devices is None else devices
        self._gpus = GpuMeter(found, gpus) if gpus else None
        self._wall = time.monotonic()
        self._cpu = _cpu_s()

    def read(self) -> ResourceUse:
        wall, cpu = time.monotonic() - self._wall, _cpu_s() - self._cpu
        energy = self._energy.read(cpu, wall)
        if self._gpus is None:
            return ResourceUse(wall, cpu, _peak_bytes(), _of_building(energy))
        whole = _of_building(_with_gpus(energy, self._gpus.joules()))
        return ResourceUse(wall, cpu, _peak_bytes(), whole, self._gpus.busy_s())


def _of_building(machine: Measure) -> Measure:
    """With what the building takes for cooling and losses beside its machines, by the setting `pue`."""
    pue = float(os.environ.get(PUE, 1.0))
    if pue == 1.0 or machine.value is None:
        return machine
    return replace(machine, value=machine.value * pue, source=f"{machine.source}; PUE {pue:g}")


def _with_gpus(cpu: Measure, joules: float | None) -> Measure:
    """Processor and GPUs together; without the GPUs' counter nothing is known of the whole, and it is not 0."""
    if cpu.value is None or joules is None:
        return Measure(None, "J", Basis.measured, "no energy counter of the GPUs")
    whole = cpu.value + joules
    error = (cpu.value * (cpu.error or 0.0) + joules * _NVML_ERROR) / whole if whole else None
    return Measure(whole, "J", cpu.basis, f"{cpu.source}; GPUs: NVML energy counter", error)


def _peak_bytes() -> int:
    """Of this process's own memory: getrusage's maximum begins at that of the process which started it (Linux)."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(status.partition("VmHWM:")[2].split(None, 1)[0]) * 1024


def _cpu_s() -> float:
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in used)
