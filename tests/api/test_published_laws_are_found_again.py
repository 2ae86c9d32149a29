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
