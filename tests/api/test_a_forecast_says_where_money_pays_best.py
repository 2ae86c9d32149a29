"""The forecast through the client: for columns from elsewhere, and for a model from its own versions and books."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from gristmill.books.events import dataset_added, run_used, version_made
from gristmill.books.posting import post
from gristmill.books.rate_cards import set_rate
from gristmill.books.usage import post_usage
from gristmill.bundles.manifest import Lineage, Manifest
from gristmill.cli.main import run
from gristmill.client.sync import Client
from gristmill.core.errors import NotFound, Unprocessable
from gristmill.core.types import Basis, Measure, Resources, ResourceUse, Signature, UsageRecord
from gristmill.registry import versions
from gristmill.tasks.recipe import parse_recipe, read_recipe
from tests.api.conftest import Door

COLUMNS: dict[str, list[float]] = {"N": [], "D": [], "loss": []}
for size in (1e6, 1e7, 1e8, 1e9):
    for tokens in (1e8, 1e9, 1e10):
        COLUMNS["N"].append(size)
        COLUMNS["D"].append(tokens)
        COLUMNS["loss"].append(1.8 + 400 / size**0.34 + 400 / tokens**0.3)
ASKED: dict[str, Any] = {"columns": COLUMNS, "x": ["N", "D"], "y": "loss"}
COSTS = [{"name": "compute", "price": 6e-17, "powers": {"N": 1, "D": 1}}]
MODEL, ROWS = "millstone", (38, 63, 101, 151, 214, 314)
NOON = 1_700_000_000.0
HOUR = ResourceUse(3600.0, 3600.0, 2**30, Measure(1.0, "J", Basis.modelled, "TDP"))


@pytest.fixture(scope="module")
def client(door: Door) -> Iterator[Client]:
    with door.client() as client:
        yield client


@pytest.fixture(scope="module")
def trained(door: Door) -> str:
    """Versions on more and more rows, whose error is 0.02 + 0.5 · rows^-0.4, and what they cost."""
    with door.platform.database.write() as connection:
        tenant = _tenant(connection)
        bought = dataset_added(tenant, "grain", 1, NOON, rows=1000, size=10, cost_micro=50_000_000, currency="USD")
        post(connection, bought)
        for number, rows in enumerate(ROWS, 1):
            _version(connection, tenant, f"{MODEL}@{number}", rows, 4, 0.02 + 0.5 * rows**-0.4)
    return MODEL


@pytest.fixture(scope="module")
def undecided(door: Door, trained: str) -> str:
    """Versions by rows and passes whose errors are too noisy to tell which of the two pays better."""
    noise = np.random.default_rng(3)
    with door.platform.database.write() as connection:
        for number, (rows, passes) in enumerate(product((40, 80, 160, 320), (2, 4, 8)), 1):
            error = (0.02 + 0.5 * rows**-0.4 + 0.1 / passes) * float(np.exp(noise.normal(0, 0.1)))
            _version(connection, _tenant(connection), f"querne@{number}", rows, passes, error)
    return "querne"


@pytest.fixture(scope="module")
def sold(door: Door) -> str:
    """Versions on more and more rows, six runs of the last recipe; each served a day, more requests the better."""
    noise = np.random.default_rng(4)
    errors = {rows: 0.02 + 0.5 * rows**-0.4 for rows in ROWS}
    recipes = [*((rows, 0) for rows in ROWS), *((ROWS[-1], seed) for seed in range(1, 6))]
    with door.platform.database.write() as connection:
        tenant = _tenant(connection)
        set_rate(connection, tenant, card="price", item="serving.request:flour", unit="request", price="0.5USD",
                 valid_from=0.0, known_from=NOON)  # fmt: skip
        for number, (rows, seed) in enumerate(recipes, 1):
            error = errors[rows] * float(np.exp(noise.normal(0, 0.05)))
            _version(connection, tenant, f"quern@{number}", rows, 4, error, seed)
            record = UsageRecord("", tenant, "key_1", "flour", f"quern@{number}", "sha256:0", "infer", 200,
                                 NOON + 86_400 * number, 1, 1, 1, 1, 1)  # fmt: skip
            requests = [replace(record, id=f"quern{number}.{at}") for at in range(round(60 - 200 * error))]
            post_usage(connection, "test-gateway", requests, number, record.happened_at)
    return "quern"


def _tenant(connection: Any) -> str:
    return str(connection.exec_driver_sql("SELECT tenant FROM keys LIMIT 1").scalar())


def _version(connection: Any, tenant: str, reference: str, rows: int, passes: int, error: float, seed: int = 0) -> None:
    model, _, number = reference.partition("@")
    made_by = f"run_{model}{number}"
    recipe = parse_recipe(
        {"name": model, "task": "tabular-classification", "data": {"dataset": "grain", "rows": rows},
         "architecture": {"name": "mlp"}, "training": {"epochs": passes, "batch_size": 16, "seed": seed}}
    ).model_dump(mode="json")  # fmt: skip
    metrics = {"train/rows": float(rows), "train/steps": passes * math.ceil(rows / 16), "test/accuracy": 1 - error}
    manifest = Manifest(
        name=model, task="tabular-classification", framework="torch", runtime="torch", architecture={},
        signature=Signature("tabular-classification", (), ()), files={}, parameters=1000, licence=None, created_at=1.0,
        lineage=Lineage(made_by, ("grain@1",), ("sha256:0",), recipe), metrics=metrics,
    )  # fmt: skip
    at = NOON + int(number)
    versions.register(connection, tenant, manifest, f"sha256:{number}", made_by, at)
    post(connection, run_used(tenant, made_by, "train", model, 1, "succeeded", at, Resources(), HOUR))
    post(connection, version_made(tenant, model, int(number), made_by, ["grain@1"], at, None))


def test_columns_from_elsewhere_give_their_law_back(client: Client) -> None:
    found = client.forecasts.data(**ASKED, costs=COSTS, budget=100, target=2.6)
    assert found["law"]["floor"]["value"] == pytest.approx(1.8, rel=1e-3)
    assert [term["exponent"]["value"] for term in found["law"]["terms"]] == pytest.approx([0.34, 0.3], rel=1e-3)
    assert {one["input"] for one in found["returns"]} == {"N", "D"}
    assert found["best"] == found["returns"][0]["input"]
    assert all(one["loss"] < found["forecast"]["value"] for one in found["spent"])
    assert len(found["points"]) == 12


@pytest.mark.parametrize(("form", "begins"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_fit_and_residuals_are_drawn(client: Client, form: str, begins: bytes) -> None:
    pytest.importorskip("matplotlib")
    assert client.forecasts.data_as(form, **ASKED).startswith(begins)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x": ["N", "Q"]}, "no column 'Q'"),
        ({"target": 1.0}, r"not reachable: the floor is 1\.8 ± "),
        ({"columns": COLUMNS | {"loss": [None, *COLUMNS["loss"][1:]]}}, "Run 1 has None in 'loss'"),
        ({"columns": COLUMNS | {"D": COLUMNS["N"]}}, "collinear"),
        ({"columns": {name: values[:7] for name, values in COLUMNS.items()}}, "at least 8 runs"),
        ({"columns": COLUMNS | {"N": [1.0]}}, "not of one length"),
        ({"budget": -1}, "0 or more"),
        ({"costs": [{"name": "c", "price": 1, "powers": {"Q": 1}}]}, "names 'Q', which is no input"),
        ({"surprise": 1}, "surprise"),
        ({"columns": COLUMNS | {"loss": [-one + 9 for one in COLUMNS["loss"]]}}, "loss rises with N and D"),
    ],
)
def test_bad_questions_get_one_sentence(client: Client, change: dict[str, Any], said: str) -> None:
    with pytest.raises(Unprocessable, match=said):
        client.forecasts.data(**(ASKED | change))


def test_a_models_own_versions_say_what_more_rows_bring(client: Client, trained: str) -> None:
    found = client.forecasts.model(trained, at=["rows=1258"], budget="5USD", target="accuracy=0.95")
    truth = 0.02 + 0.5 * 1258**-0.4
    assert found["inputs"] == ["rows"]
    assert found["metric"] == "accuracy"
    assert found["curve"]["low"] <= truth <= found["curve"]["high"]
    assert found["law"]["floor"]["value"] == pytest.approx(0.02, rel=0.05)
    assert {point["version"] for point in found["points"]} == {f"{MODEL}@{number}" for number in range(1, 7)}
    (rows,) = found["reach"]
    assert rows["value"] == pytest.approx((0.5 / 0.03) ** (1 / 0.4), rel=0.1)
    assert found["currency"] == "USD"
    a_row = 0.05 + len(ROWS) * _hour(client) / sum(ROWS)  # what was paid for the data, and the compute of six hours
    assert found["cost"] == pytest.approx(1258 * a_row, rel=1e-3)


def _hour(client: Client) -> float:
    """What an hour of one core and its memory costs."""
    row = client.books.report("cost", model=MODEL)["rows"][0]
    return float((row["compute_micro"] + row["energy_micro"]) / 1e6)


def test_the_plan_that_would_decide_is_written_as_recipes(
    door: Door, undecided: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setenv("GRISTMILL_URL", door.url)
    monkeypatch.setenv("GRISTMILL_API_KEY", door.key)
    assert run(["forecast", undecided, "--plan", str(tmp_path / "plan")]) == 0
    assert "Undecided between" in capsys.readouterr().out
    recipes = [read_recipe(path.read_text()) for path in sorted((tmp_path / "plan").iterdir())]
    assert recipes
    assert all(recipe.data.rows in (40, 80, 160, 320) and recipe.training.epochs >= 1 for recipe in recipes)
    asked_for = {(recipe.data.rows, recipe.training.epochs) for recipe in recipes}
    assert len(asked_for) == len(recipes), "a run is planned twice"
    seeds = [recipe.training.seed for recipe in recipes]
    assert min(seeds) > 0, "a run that was made already is planned again as it was"
    assert len(set(seeds)) == len(seeds)


def test_search_and_what_quality_earned_come_from_ones_own_books(client: Client, sold: str) -> None:
    found = client.forecasts.model(sold, budget="5USD")
    assert {one["input"] for one in found["returns"]} == {"rows", "search"}
    assert [one["runs"] for one in found["search"]] == [1, 2, 4, 8]
    earnings = found["earnings"]
    assert earnings["versions"] == 11
    assert earnings["value"] == pytest.approx(1.0, rel=0.15)  # 200 requests of 0.50 USD by 100 points
    assert earnings["low"] <= 1.0 <= earnings["high"]
    for one in found["returns"]:
        assert one["earns"]["value"] == pytest.approx(one["value"] * earnings["value"] / 0.01)
    assert not any("stops at quality" in note for note in found["notes"])


def test_it_stops_at_quality_where_the_books_hold_no_relation(client: Client, trained: str) -> None:
    notes = client.forecasts.model(trained)["notes"]
    assert any("stops at quality per unit of money: 0 tested versions earned money" in note for note in notes)
    assert any("search is no input here: 1 runs" in note for note in notes)


def test_serving_is_weighed_in_the_optimum(door: Door, client: Client) -> None:
    with door.platform.database.write() as connection:
        record = UsageRecord("talk.1", _tenant(connection), "key_1", "talk", "talk@1", "sha256:0", "chat", 200,
                             time.time(), 1, 1, 1, 1, 1, {"prompt": 700, "cached": 100, "completion": 300})  # fmt: skip
        post_usage(connection, "test-talk", [record], 1)
    booked = client.forecasts.data(**ASKED, served_by="talk")["optimum"]
    assert booked["served_tokens"] == 1000, "tokens read from a cache are not computed"
    assert "talk" in booked["source"]
    with pytest.raises(Unprocessable, match="no tokens that 'nobody' served"):
        client.forecasts.data(**ASKED, served_by="nobody")
    alone = client.forecasts.data(**ASKED, served_tokens=0)["optimum"]["for_compute"]
    served = client.forecasts.data(**ASKED, served_tokens=1e11, target=2.6)["optimum"]
    assert alone["flop"] == pytest.approx(6 * alone["parameters"] * alone["tokens"])
    assert served["for_target"]["loss"] == pytest.approx(2.6)
    assert served["served_tokens"] == 1e11


def test_rows_seen_again_count_for_less(client: Client) -> None:
    columns = COLUMNS | {"U": [value / 4 for value in COLUMNS["D"]]}
    found = client.forecasts.data(columns, ["N", "D"], "loss", unique="U")
    assert found["repeated"]["most_repeats"] == pytest.approx(3.0)
    assert found["repeated"]["basis"] == "assumed"
    assert any("R* of rows seen again is assumed to be 15.39" in note for note in found["notes"])
    worth = 1 + 15.39 * (1 - math.exp(-3 / 15.39))
    assert found["points"][0]["D"] == pytest.approx(COLUMNS["D"][0] / 4 * worth)


def test_people_are_an_input_only_from_ones_own_history(client: Client, trained: str) -> None:
    with pytest.raises(Unprocessable, match="only from your own history"):
        client.forecasts.model(trained, inputs=["rows", "people"])


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"target": "f1=0.9"}, "tested by accuracy"),
        ({"target": "accuracy"}, "no NAME=NUMBER"),
        ({"target": "accuracy=0.999"}, "not reachable: the floor is 0.02"),
        ({"budget": "5EUR"}, "in USD"),
        ({"inputs": ["luck"]}, "no input 'luck'"),
        ({"inputs": ["parameters"]}, "fewer than 3 values"),
    ],
)
def test_a_model_is_asked_for_what_it_can_tell(client: Client, trained: str, wanted: Any, said: str) -> None:
    with pytest.raises(Unprocessable, match=said):
        client.forecasts.model(trained, **wanted)


def test_a_model_that_is_not_there_is_not_found(client: Client) -> None:
    with pytest.raises(NotFound):
        client.forecasts.model("nobody")


def test_a_csv_is_forecast_on_the_command_line(door: Door, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    path = tmp_path / "runs.csv"
    rows = np.column_stack(list(COLUMNS.values()))
    path.write_text("N,D,loss\n" + "\n".join(",".join(map(str, row)) for row in rows))
    monkeypatch.setenv("GRISTMILL_URL", door.url)
    monkeypatch.setenv("GRISTMILL_API_KEY", door.key)
    picture = tmp_path / "fit.svg"
    asked = ["forecast", "--csv", str(path), "--x", "N,D", "--y", "loss"]
    assert run([*asked, "--cost", "N*D=6e-17", "--picture", str(picture)]) == 0
    assert "pays best in" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"<?xml")
    assert run([*asked[:3], "--x", "N,Q", "--y", "loss"]) == 1
    assert "no column 'Q'" in capsys.readouterr().err


@pytest.fixture
def published(door: Door, tmp_path: Path, monkeypatch: Any) -> Path:
    """The same runs as a table writes them: a comment, semicolons and decimal commas, other cases, 70M and 1.4B."""
    monkeypatch.setenv("GRISTMILL_URL", door.url)
    monkeypatch.setenv("GRISTMILL_API_KEY", door.key)
    rows = zip(*COLUMNS.values(), strict=True)
    lines = [f"{size / 1e6:g}M; {tokens / 1e9:g}B;{tokens / 2e9:g}B;{loss}" for size, tokens, loss in rows]
    path = tmp_path / "published.csv"
    path.write_text("\n".join(["# after Hoffmann et al.", "", "Params; Tokens ;Unique;Loss", *lines]).replace(".", ","))
    return path


def test_a_table_is_read_as_it_was_published(published: Path, capsys: Any) -> None:
    asked = ["forecast", "--csv", str(published), "--x", "params,tokens", "--y", "loss", "--json"]
    assert run([*asked, "--served-tokens", "1e11"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [term["exponent"]["value"] for term in found["law"]["terms"]] == pytest.approx([0.34, 0.3], rel=1e-3)
    assert found["optimum"]["served_tokens"] == 1e11
    optimal = {one["input"]: one["exponent"]["value"] for one in found["law"]["optimal"]}
    assert optimal == pytest.approx({"params": 0.3 / 0.64, "tokens": 0.34 / 0.64}, rel=1e-3)
    assert run([*asked, "--unique", "unique"]) == 0
    repeated = json.loads(capsys.readouterr().out)["repeated"]
    assert (repeated["input"], repeated["most_repeats"]) == ("tokens", pytest.approx(1.0))


def test_columns_may_be_formulas_of_those_that_were_published(published: Path, capsys: Any) -> None:
    flop = published.with_name("flop.csv")
    rows = zip(*COLUMNS.values(), strict=True)
    flop.write_text(
        "Model size,Training FLOP,score\n"
        + "".join(f"{size},{6 * size * tokens},{5 - loss}\n" for size, tokens, loss in rows)
    )
    asked = ["forecast", "--csv", str(flop), "--x", "Model size,D=Training FLOP/(6*Model size)", "--json"]
    assert run([*asked, "--y", "loss=5-score"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["inputs"], found["y"]) == (["Model size", "D"], "loss")
    assert [term["exponent"]["value"] for term in found["law"]["terms"]] == pytest.approx([0.34, 0.3], rel=1e-3)
    for formula, said in (
        ("5-points", "no column 'points'"),
        ("score**2", "+ - * /"),
        ("score/0", "line 2"),
        ("score+" * 3000 + "0", "at most 200 characters"),
        ("=", "no"),
    ):
        assert run([*asked, "--y", formula]) == 1
        assert said in capsys.readouterr().err
    assert run([*asked, "--y", "loss=5-score", "--target", "score=3"]) == 2
    assert "--y is 'loss'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--served-tokens", "-1"], "served-tokens"),
        (["--served-tokens", "inf"], "no number"),
        (["--at", "tokens=many"], "no NAME=NUMBER"),
        (["--target", "inf"], "no NAME=NUMBER"),
        (["--cost", "1e-6"], "no price"),
        (["--cost", "tokens=-1"], "negative"),
        (["--budget", "much"], "budget"),
    ],
)
def test_wrong_numbers_on_the_line_exit_2(published: Path, capsys: Any, wrong: list[str], said: str) -> None:
    assert run(["forecast", "--csv", str(published), "--x", "params,tokens", "--y", "loss", *wrong]) == 2
    assert said in capsys.readouterr().err


def test_options_of_a_table_are_refused_for_a_model(door: Door, published: Path, capsys: Any) -> None:
    assert run(["forecast", MODEL, "--served-tokens", "1e9"]) == 2
    assert "--served-tokens goes with --csv" in capsys.readouterr().err
