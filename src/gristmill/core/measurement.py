"""What this process has used: CPU time, peak memory and energy, each with how it is known."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Protocol

from gristmill.core.types import Basis, Measure, ResourceUse


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

    def __init__(self, watts_per_core: float = 7.0) -> None:
        # 7 W a core: server processors have TDPs of 225 to 360 W for 32 to 64 cores (AMD EPYC 7003/9004 data sheets).
        self._watts = watts_per_core

    def read(self, cpu_s: float, wall_s: float) -> Measure:
        return Measure(cpu_s * self._watts, "J", Basis.modelled, f"TDP model, {self._watts:g} W a busy core", 0.5)


def _machine_busy_s() -> float:
    fields = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    idle = fields[3] + fields[4]
    return (sum(fields[:8]) - idle) / os.sysconf("SC_CLK_TCK")


class Meter:
    """Reads what this process and its ended children have used since the meter was made."""

    def __init__(self, energy: EnergyMeter | None = None) -> None:
        self._energy: EnergyMeter = energy or RaplMeter.found() or CpuPowerModel()
        self._wall = time.monotonic()
        self._cpu = _cpu_s()

    def read(self) -> ResourceUse:
        wall, cpu = time.monotonic() - self._wall, _cpu_s() - self._cpu
        return ResourceUse(wall, cpu, _peak_bytes(), self._energy.read(cpu, wall))


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
