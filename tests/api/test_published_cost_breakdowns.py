"""What others published of the making of their models, told to the books through the SDK and read from the reports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from gristmill.cli.main import run
from gristmill.client.sync import Client
from gristmill.core.errors import Unprocessable
from tests.api.conftest import Door, registered

MILLION = 10**12  # micro-units
GRIDS = {"jean-zay": "57g", "us-mean": "385g", "epa-2018": "432.7271g", "iowa": "429g"}


@pytest.fixture(scope="module")
def lab(door: Door) -> Iterator[Client]:
    """Models that others made, as the registry would hold them; rates of their own, which no other test's work has."""
    for name in ("bloom", "llama-1", "llama-2", "strubell", "gpt-3", "deepseek-v3", "frontier", "meena"):
        registered(door, name, 1)
    with door.client() as client:
        for site, grams in GRIDS.items():
            client.books.set_rate(card="emissions", item=f"energy.electricity:{site}", unit="kwh", price=grams)
        client.books.set_rate(card="cost", item="energy.electricity:own", unit="kwh", price="0.08USD")
        client.books.set_rate(card="cost", item="compute.gpu:h800", unit="gpu_hour", price="2USD")
        yield client


def energy(lab: Client, place: str) -> dict[str, Any]:
    (row,) = (row for row in lab.books.report("energy")["rows"] if row["account"] == place)
    return dict(row)


def inputs(lab: Client, place: str) -> dict[str, dict[str, Any]]:
    return {row["item"]: row for row in lab.books.report("inputs")["rows"] if row["place"] == place}


def test_bloom_emitted_24_7_tonnes_of_its_50_5_while_it_computed(lab: Client) -> None:
    """Luccioni, Viguier and Ligozat (2023), JMLR 24(253), sections 4.1 to 4.3: 1,082,990 GPU-hours of 400 W at 57 g a
    kWh; 256,646 kWh while the cluster idled; 11.2 t for making the hardware.
    """
    lab.books.declare_compute("bloom@1", gpu_hours=1_082_990, kwh=433_196, site="jean-zay", embodied_kg=11_200)
    lab.books.declare_compute("shared:jean-zay", kwh=256_646, site="jean-zay")
    dynamic, idle = energy(lab, "assets:version:bloom@1"), energy(lab, "shared:jean-zay")
    tonnes = [dynamic["co2_kg"] / 1000, idle["co2_kg"] / 1000, dynamic["embodied_co2_kg"] / 1000]
    assert [round(one, 1) for one in tonnes] == [24.7, 14.6, 11.2]
    assert round(sum(tonnes), 1) == 50.5
    assert [round(one / sum(tonnes), 3) for one in tonnes] == [0.489, 0.290, 0.222]
    lab.books.allocate("jean-zay", "uniform", on=["bloom@1"])
    whole = energy(lab, "assets:version:bloom@1")
    assert (whole["kwh"], round(whole["co2_kg"] + whole["embodied_co2_kg"])) == (433_196 + 256_646, 50_521)


class Trained(NamedTuple):
    gpu_hours: int
    watts: int
    tonnes: float


# Touvron et al. (2023), LLaMA, table 15; and Llama 2, table 2: a PUE of 1.1, 0.385 kg a kWh
LLAMA_1 = (Trained(82_432, 400, 14), Trained(135_168, 400, 23), Trained(530_432, 400, 90), Trained(1_022_362, 400, 173))
LLAMA_2 = (Trained(184_320, 400, 31.22), Trained(368_640, 400, 62.44), Trained(1_038_336, 350, 153.90),
           Trained(1_720_320, 400, 291.42))  # fmt: skip


@pytest.mark.parametrize(("family", "sizes", "tolerance"), [("llama-1", LLAMA_1, 0.5), ("llama-2", LLAMA_2, 0.01)])
def test_each_llama_emitted_what_its_paper_says(
    lab: Client, family: str, sizes: tuple[Trained, ...], tolerance: float
) -> None:
    before = 0.0
    for size in sizes:
        kwh = size.gpu_hours * size.watts / 1000
        lab.books.declare_compute(f"{family}@1", gpu_hours=size.gpu_hours, kwh=kwh, pue=1.1, site="us-mean")
        so_far = energy(lab, f"assets:version:{family}@1")["co2_kg"] / 1000
        assert so_far - before == pytest.approx(size.tonnes, abs=tolerance)
        before = so_far
    hours = inputs(lab, f"version:{family}@1")["compute.gpu"]["quantity"] / 3600
    assert hours == pytest.approx(sum(size.gpu_hours for size in sizes))


def test_the_models_of_strubell_et_al_took_the_electricity_and_emitted_the_pounds_that_they_say(lab: Client) -> None:
    """Strubell, Ganesh and McCallum (2019), table 3: watts, hours, kWh with a PUE of 1.58, pounds of CO2 at 0.954."""
    table = ((1415.78, 12, 27, 26), (1515.43, 84, 201, 192), (517.66, 336, 275, 262), (12_041.51, 79.2, 1507, 1438),
             (1515.43, 274_120, 656_347, 626_155))  # fmt: skip
    kwh, kg = 0.0, 0.0
    for watts, hours, published_kwh, pounds in table:
        lab.books.declare_compute("strubell@1", kwh=watts * hours / 1000, pue=1.58, site="epa-2018")
        row = energy(lab, "assets:version:strubell@1")
        assert round(row["kwh"] - kwh) == published_kwh
        assert round((row["co2_kg"] - kg) / 0.453_592_37) == pounds
        kwh, kg = row["kwh"], row["co2_kg"]


def test_gpt_3_took_1287_mwh_and_emitted_552_tonnes(lab: Client) -> None:
    """Patterson et al. (2021), table 4: 10,000 V100s of 330 W for 14.8 days, a PUE of 1.10, 0.429 kg a kWh."""
    kwh = 10_000 * 14.8 * 24 * 0.330
    lab.books.declare_compute("gpt-3@1", gpu_hours=10_000 * 14.8 * 24, kwh=kwh, pue=1.1, site="iowa", error=0.1)
    row = energy(lab, "assets:version:gpt-3@1")
    assert row["kwh"] == pytest.approx(1_287_000, rel=0.003)
    assert row["co2_kg"] == pytest.approx(552_100, rel=0.003)
    assert row["kwh_band"] == pytest.approx(row["kwh"] / 10)


def test_deepseek_v3_cost_5_576_million(lab: Client) -> None:
    """DeepSeek-AI (2024), table 1: thousands of H800-hours at 2 USD for pre-training, longer context, post-training."""
    for part, hours in (("pre-training", 2_664_000), ("context", 119_000), ("post-training", 5_000)):
        lab.books.declare_compute("deepseek-v3@1", gpu_hours=hours, hardware="h800", id=f"deepseek {part}")
        again = lab.books.declare_compute("deepseek-v3@1", gpu_hours=hours, hardware="h800", id=f"deepseek {part}")
        assert again["id"] == f"deepseek {part}"
    (row,) = (row for row in lab.books.report("cost")["rows"] if row["version"] == "deepseek-v3@1")
    assert row["compute_micro"] == row["capitalised_micro"] == 5.576 * MILLION


def test_a_frontier_model_s_cost_falls_apart_as_cottier_et_al_say(lab: Client) -> None:
    """Cottier et al. (2024), The rising costs of training frontier AI models, at the ends of their ranges that sum to
    one: R&D staff 49 %, accelerators 23 %, other server parts 15 %, interconnect 9 %, energy 4 %; hardware by its use.
    """
    lab.books.declare_hours("researcher", 490_000, "frontier@1", rate="100USD")
    for part, dollars in (("accelerators", 368_000_000), ("servers", 240_000_000), ("interconnect", 144_000_000)):
        lab.books.use_hardware(part, f"{dollars}USD", "frontier@1", 4 * 365, 4 * 36.5, left=f"{dollars * 3 // 8}USD")
    lab.books.declare_compute("frontier@1", kwh=50_000_000, site="own")
    rows = inputs(lab, "version:frontier@1")
    assert {item: row["share"] for item, row in rows.items()} == {
        "people.hours": 0.49, "compute.hardware:accelerators": 0.23, "compute.hardware:servers": 0.15,
        "compute.hardware:interconnect": 0.09, "energy.electricity": 0.04,
    }  # fmt: skip
    assert sum(row["cost_micro"] for row in rows.values()) == 100 * MILLION
    hardware = sum(row["cost_micro"] for item, row in rows.items() if item.startswith("compute.hardware:"))
    (whole,) = (row for row in lab.books.report("cost")["rows"] if row["version"] == "frontier@1")
    assert whole["compute_micro"] == hardware == 47 * MILLION
    assert lab.books.check()["problems"] == []


def test_the_command_line_tells_the_same(
    lab: Client, door: Door, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Patterson et al. (2021), table 4, Meena: 232 MWh with a PUE of 1.09; its interconnect for a quarter of a year."""
    monkeypatch.setenv("GRISTMILL_URL", door.url)
    monkeypatch.setenv("GRISTMILL_API_KEY", door.key)
    kwh = repr(232_000 / 1.09)
    assert run(["books", "compute", "--on", "meena@1", "--kwh", kwh, "--pue", "1.09", "--basis", "modelled"]) == 0
    assert run(["books", "hardware", "--name", "interconnect", "--amount", "1460USD", "--life-days", "1460",
                "--days", "91.25", "--share", "0.5", "--on", "meena@1"]) == 0  # fmt: skip
    capsys.readouterr()
    assert run(["books", "report", "inputs", "--model", "meena"]) == 0
    shown = capsys.readouterr().out
    assert "232,000" in shown
    assert inputs(lab, "version:meena@1")["compute.hardware:interconnect"]["cost_micro"] == 45_625_000
    assert run(["books", "report", "inputs", "--model", "nobody"]) == 1
    assert capsys.readouterr().err.startswith("There is no model 'nobody'")


@pytest.mark.parametrize(
    ("used", "said"),
    [
        ({}, "Nothing was used"),
        ({"gpu_hours": -1}, "greater than or equal to 0"),
        ({"kwh": float("inf")}, "finite"),
        ({"kwh": 1, "pue": 0.9}, "greater than or equal to 1"),
        ({"gpu_hours": 1, "hardware": "A 100"}, "not valid"),
        ({"gpu_hours": 1, "error": 2}, "less than or equal to 1"),
    ],
)
def test_machine_time_that_is_none_is_refused_in_a_sentence(lab: Client, used: dict[str, Any], said: str) -> None:
    with pytest.raises(Unprocessable, match=said):
        lab.books.declare_compute("gpt-3", **used)
    assert "model:gpt-3" not in {row["place"] for row in lab.books.report("inputs")["rows"]}


@pytest.mark.parametrize(
    ("amount", "days", "more", "said"),
    [
        ("10EUR", 400, {}, "within the life"),
        ("10EUR", 1, {"left": "11EUR"}, "worth more"),
        ("10EUR", 1, {"left": "1USD"}, "one currency"),
        ("10EUR", 1, {"share": "1.5"}, "share"),
        ("-10EUR", 1, {}, "negative"),
    ],
)
def test_hardware_that_cannot_be_is_refused_in_a_sentence(
    lab: Client, amount: str, days: float, more: dict[str, str], said: str
) -> None:
    with pytest.raises(Unprocessable, match=said):
        lab.books.use_hardware("servers", amount, "llama-1", 365, days, **more)
    assert "model:llama-1" not in {row["place"] for row in lab.books.report("inputs")["rows"]}
