"""Energy of the processor and of GPUs: counted, else modelled, else unknown; never zero for want of a counter."""

from __future__ import annotations

import time

import pytest

from gristmill.core.measurement import PUE, WATTS_A_CORE, CpuPowerModel, Meter
from gristmill.core.types import Basis, Measure


class Counter:
    """A GPU whose counter has told `joules` so far, and that computes all the time."""

    def __init__(self, joules: float | None, busy: float | None = 1.0) -> None:
        self.told, self.busy = joules, busy

    def joules(self) -> float | None:
        return self.told

    def busy_share(self) -> float | None:
        return self.busy


def test_a_busy_core_draws_what_the_setting_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WATTS_A_CORE, "4.5")
    told = CpuPowerModel().read(cpu_s=10.0, wall_s=20.0)
    assert (told.value, told.basis) == (45.0, Basis.modelled)
    assert "4.5 W" in told.source


def test_gpus_add_what_their_counters_moved_and_the_seconds_in_which_they_computed() -> None:
    first, second = Counter(5_000.0), Counter(70.0, busy=0.5)
    meter = Meter(CpuPowerModel(7.0), gpus=2, devices=[first, second])
    first.told, second.told = 5_900.0, 170.0
    time.sleep(0.1)
    use = meter.read()
    assert use.energy.value == pytest.approx(1_000 + 7 * use.cpu_s)
    assert use.energy.error == pytest.approx((7 * use.cpu_s * 0.5 + 1_000 * 0.05) / use.energy.value)
    assert use.gpu_s == pytest.approx(1.5 * use.wall_s, rel=0.1)
    assert "NVML" in use.energy.source


@pytest.mark.parametrize("devices", [[], [Counter(5.0)], [Counter(5.0), Counter(None, None)]])
def test_of_gpus_without_a_counter_nothing_is_known_and_nothing_is_zero(devices: list[Counter]) -> None:
    use = Meter(CpuPowerModel(7.0), gpus=2, devices=devices).read()
    assert (use.energy.value, use.gpu_s, use.energy_a_cpu_s) == (None, None, None)


def test_without_a_grant_of_gpus_the_processor_is_all() -> None:
    use = Meter(CpuPowerModel(7.0)).read()
    assert use.energy.value is not None
    assert use.gpu_s is None


def test_gpus_that_this_machine_does_not_have_are_unknown() -> None:
    use = Meter(CpuPowerModel(7.0), gpus=64).read()
    assert (use.energy.value, use.gpu_s) == (None, None)


def test_what_the_building_takes_beside_its_machines_is_told_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = Meter(Counted())
    machine = meter.read().energy
    monkeypatch.setenv(PUE, "1.5")
    building = meter.read().energy
    assert (machine.value, building.value) == (10.0, 15.0)
    assert "PUE 1.5" in building.source
    monkeypatch.setattr(Counted, "value", None)
    assert meter.read().energy.value is None


class Counted:
    value: float | None = 10.0

    def read(self, cpu_s: float, wall_s: float) -> Measure:
        return Measure(self.value, "J", Basis.measured, "a counter")
