"""Laws and curves as they were published, planted with noise and forecast by `gristmill forecast --csv`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gristmill.cli.main import run
from tests.api.conftest import Door

Asked = Callable[..., dict[str, Any]]


@pytest.fixture
def asked(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asked:
    """The command's answer for columns of runs."""
    monkeypatch.setenv("GRISTMILL_URL", door.url)
    monkeypatch.setenv("GRISTMILL_API_KEY", door.key)

    def forecast(columns: dict[str, np.ndarray], *options: str) -> dict[str, Any]:
        rows = np.column_stack(list(columns.values()))
        path = tmp_path / "runs.csv"
        path.write_text("\n".join([",".join(columns), *(",".join(map(repr, map(float, row))) for row in rows)]))
        assert run(["forecast", "--csv", str(path), "--json", *options]) == 0
        return dict(json.loads(capsys.readouterr().out))

    return forecast


def runs(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parameters, tokens, and noise of 1 %."""
    random = np.random.default_rng(seed)
    sizes, tokens = np.exp(random.uniform(np.log([5e7, 3e8]), np.log([1.6e10, 3e11]), (count, 2))).T
    return sizes, tokens, np.exp(0.01 * random.standard_normal(count))


def law_of(found: dict[str, Any]) -> list[dict[str, float]]:
    """E, A, α, B, β with their intervals."""
    terms = found["law"]["terms"]
    return [found["law"]["floor"], *(term[part] for term in terms for part in ("coefficient", "exponent"))]


def inside(found: list[dict[str, float]], truth: list[float]) -> list[bool]:
    return [one["low"] <= value <= one["high"] for one, value in zip(found, truth, strict=True)]


def test_chinchillas_law_as_besiroglu_et_al_fitted_it_and_its_optima(asked: Asked) -> None:
    sizes, tokens, noise = runs(2, 120)
    loss = (1.82 + 482 / sizes**0.35 + 2085 / tokens**0.37) * noise
    served = 2e12
    columns = {"N": sizes, "D": tokens, "loss": loss}
    found = asked(columns, "--x", "N,D", "--y", "loss", "--target", "loss=2.1", "--served-tokens", f"{served:g}")
    assert all(inside(law_of(found), [1.82, 482, 0.35, 2085, 0.37]))
    floor, a, alpha, b, beta = (one["value"] for one in law_of(found))
    best = found["optimum"]["for_target"]
    n, d = best["parameters"], best["tokens"]
    assert floor + a / n**alpha + b / d**beta == pytest.approx(2.1, rel=1e-6)
    assert best["flop"] == pytest.approx(6 * n * d + 2 * n * served, rel=1e-6)
    # Sardana et al. (2024), equation 3: at the least of 6·N·D + 2·N·served both inputs give as much loss a FLOP
    by_size = alpha * a / n ** (alpha + 1) / (6 * d + 2 * served)
    by_data = beta * b / d ** (beta + 1) / (6 * n)
    assert by_size == pytest.approx(by_data, rel=1e-3)
    alone = asked(columns, "--x", "N,D", "--y", "loss", "--target", "loss=2.1", "--served-tokens", "0")
    alone = alone["optimum"]["for_target"]
    # Hoffmann et al. (2022), equation 4: without serving N = G·(C/6)^(β/(α+β))
    factor = (alpha * a / (beta * b)) ** (1 / (alpha + beta))
    assert alone["parameters"] == pytest.approx(factor * (alone["flop"] / 6) ** (beta / (alpha + beta)), rel=1e-3)
    assert n < alone["parameters"]


def test_repeated_data_as_muennighoff_et_al_found_them(asked: Asked) -> None:
    sizes, tokens, noise = runs(7, 120)
    unique = tokens / np.geomspace(1, 60, len(tokens))
    repeats = tokens / unique - 1
    worth = unique + unique * 15.39 * (1 - np.exp(-repeats / 15.39))
    loss = (1.87 + 521 / sizes**0.353 + 1488 / worth**0.353) * noise
    found = asked({"N": sizes, "D": tokens, "U": unique, "loss": loss}, "--x", "N,D", "--y", "loss", "--unique", "U")
    assert found["repeated"]["refused"] is None
    assert found["repeated"]["low"] <= 15.39 <= found["repeated"]["high"]
    assert all(inside(law_of(found), [1.87, 521, 0.353, 1488, 0.353]))


CURVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "pow4": lambda x: 0.06 + (0.02 * x + 1.5) ** -0.7,
    "mmf": lambda x: 1 - (0.93 - 0.83 / (1 + (0.004 * x) ** 0.9)),
    "weibull": lambda x: 1 - (0.94 - 0.84 * np.exp(-((0.0006 * x) ** 0.5))),
}


@pytest.mark.parametrize("family", CURVES)
def test_curves_of_domhan_et_al_go_where_they_went(asked: Asked, family: str) -> None:
    """Domhan et al. (2015), table 1, as errors: foretold at four times the rows, within the 90 % interval."""
    rows = np.geomspace(100, 8000, 24)
    noise = np.exp(0.01 * np.random.default_rng(3).standard_normal(len(rows)))
    truth = float(CURVES[family](np.asarray(32_000.0)))
    found = asked({"rows": rows, "error": CURVES[family](rows) * noise}, "--x", "rows", "--y", "error",
                  "--at", "rows=32000")["curve"]  # fmt: skip
    assert found["refused"] is None
    assert found["low"] <= truth <= found["high"], found
    last = float(CURVES[family](rows)[-1])
    assert abs(found["value"] - truth) < abs(last - truth), "nearer than the last value"
    assert found["high"] - found["low"] < last, "and the interval says something"


# x from and to, where it is foretold, and the law
PUBLISHED: dict[str, tuple[float, float, float, Callable[[np.ndarray], np.ndarray]]] = {
    "Kaplan et al. (2020), equation 1.1, of parameters": (1e5, 1e9, 1.6e10, lambda n: (8.8e13 / n) ** 0.076),
    "Kaplan et al. (2020), equation 1.2, of tokens": (2e7, 2e10, 2e11, lambda d: (5.4e13 / d) ** 0.095),
    "Hestness et al. (2017), section 4.1, translation": (1e5, 1e7, 4e7, lambda m: 3.06 * m**-0.128),
    "Hestness et al. (2017), section 4.3, ImageNet": (1e5, 2.5e6, 1e7, lambda m: 23.8 * m**-0.309),
    "Hestness et al. (2017), section 4.4, speech": (1e6, 2.5e7, 1e8, lambda m: 0.05 + 30.5 * m**-0.299),
    "Zhai et al. (2022), figure 2, transfer to ImageNet": (1e-2, 1e2, 4e3, lambda c: 0.09 + 0.26 * (c + 0.01) ** -0.35),
}


@pytest.mark.parametrize("law", PUBLISHED)
def test_power_laws_of_one_input_go_where_they_went(asked: Asked, law: str) -> None:
    """Exponents as published, at four to forty times what the runs had, within the 90 % interval."""
    low, high, at, curve = PUBLISHED[law]
    x = np.geomspace(low, high, 20)
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(len(x)))
    found = asked({"x": x, "loss": curve(x) * noise}, "--x", "x", "--y", "loss", "--at", f"x={at:g}")["curve"]
    truth, last = float(curve(np.asarray(at))), float(curve(x)[-1])
    assert found["low"] <= truth <= found["high"], found
    assert abs(found["value"] - truth) < abs(last - truth) / 2, "much nearer than the last value"


def test_hoffmanns_own_fit_is_found_again_and_its_exponents_of_compute(asked: Asked) -> None:
    """Hoffmann et al. (2022), section 3.3, equation 10; a = β / (α + β) = 0.45 and b = 0.55 from its own parameters."""
    sizes, tokens, noise = runs(5, 120)
    loss = (1.69 + 406.4 / sizes**0.34 + 410.7 / tokens**0.28) * noise
    found = asked({"N": sizes, "D": tokens, "loss": loss}, "--x", "N,D", "--y", "loss")
    assert all(inside(law_of(found), [1.69, 406.4, 0.34, 410.7, 0.28]))
    assert inside([one["exponent"] for one in found["law"]["optimal"]], [0.28 / 0.62, 0.34 / 0.62]) == [True, True]
    assert found["law"]["pattern"] is None


def test_a_law_of_rows_and_size_of_image_classifiers_is_found_again(asked: Asked) -> None:
    """Rosenfeld et al. (2020), equation 4.2, away from the error of guessing: ε = c + b / m^β + a / n^α."""
    random = np.random.default_rng(1)
    rows, sizes = np.exp(random.uniform(np.log([1e3, 2e3]), np.log([1e6, 5e4]), (120, 2))).T
    error = (0.05 + 1.2 / rows**0.5 + 30 / sizes**0.66) * np.exp(0.01 * random.standard_normal(120))
    found = asked({"rows": rows, "size": sizes, "error": error}, "--x", "rows,size", "--y", "error")
    assert all(inside(law_of(found), [0.05, 1.2, 0.5, 30, 0.66]))


def test_a_law_of_another_shape_is_told_and_its_floor_not_taken_for_one(
    asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kaplan et al. (2020), equation 1.5, has no floor, and its inputs do not add up: no E + A/N^α + B/D^β."""
    random = np.random.default_rng(0)
    sizes, tokens = np.exp(random.uniform(np.log([5e6, 3e8]), np.log([1.6e9, 3e10]), (120, 2))).T
    loss = ((8.8e13 / sizes) ** (0.076 / 0.103) + 5.4e13 / tokens) ** 0.103
    noisy = loss * np.exp(0.01 * random.standard_normal(120))
    found = asked({"N": sizes, "D": tokens, "loss": noisy}, "--x", "N,D", "--y", "loss")
    assert found["law"]["pattern"] > 0.5
    assert any("does not have the shape of these runs" in note for note in found["notes"])
    assert run(["forecast", "--csv", str(tmp_path / "runs.csv"), "--x", "N,D", "--y", "loss", "--target", "1.6"]) == 1
    said = capsys.readouterr().err
    assert "not reachable" in said
    assert "Do not rely on its floor" in said
