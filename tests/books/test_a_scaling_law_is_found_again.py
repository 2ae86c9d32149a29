"""Planted laws are found again; what is said of them agrees with scipy, with calculus, with what is published."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import approx_fprime, minimize

from gristmill.books.forecast import compute, repeats, scaling
from gristmill.books.forecast.costs import CostTerm, cost
from gristmill.books.forecast.earnings import earnings
from gristmill.books.forecast.plan import around, plan
from gristmill.books.forecast.question import Earned
from gristmill.books.forecast.reach import reach
from gristmill.books.forecast.returns import marginal_returns, spend
from gristmill.books.forecast.scaling import Fit, Law, fit
from gristmill.books.forecast.search import Tried, bests, expected_best, gains
from gristmill.core.errors import Unprocessable

# Besiroglu et al. (2024), table 1: Chinchilla's law as they fitted it again
CHINCHILLA = Law(("N", "D"), 1.8172, (482.01, 2085.43), (0.3478, 0.3658))
INPUTS = ("N", "D")
TERMS = (CostTerm("compute", 6e-17, (1.0, 1.0)), CostTerm("data", 1e-6, (0.0, 1.0)))


def runs(seed: int, count: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    ends = np.log([[5e7, 3e8], [1.6e10, 3e11]])
    x = np.exp(random.uniform(ends[0], ends[1], (count, 2)))
    return x, CHINCHILLA.at(x) * np.exp(noise * random.standard_normal(count))


@pytest.fixture(scope="module")
def noisy() -> Fit:
    return fit(INPUTS, *runs(1, 60, 0.02), bootstraps=100)


def test_a_law_without_noise_is_found_exactly() -> None:
    found = fit(INPUTS, *runs(0, 60, 0.0), bootstraps=0)
    assert found.law.vector == pytest.approx(CHINCHILLA.vector, rel=1e-3)


def test_planted_parameters_lie_in_their_intervals() -> None:
    trials = 6
    inside = np.zeros(5)
    for trial in range(trials):
        low, high = fit(INPUTS, *runs(trial, 80, 0.01), bootstraps=100, seed=trial).interval()
        inside += (low <= CHINCHILLA.vector) & (CHINCHILLA.vector <= high)
    assert (inside >= trials - 2).all()  # 200 trials: `python -m benchmarks.forecast`


def test_the_optimum_is_where_scipy_finds_none_lower() -> None:
    x, loss = runs(2, 60, 0.05)
    found = fit(INPUTS, x, loss, bootstraps=0)

    def objective(p: np.ndarray) -> float:
        terms = [np.full(len(x), p[0]), p[1] - p[2] * np.log(x[:, 0]), p[3] - p[4] * np.log(x[:, 1])]
        size = np.abs(np.logaddexp.reduce(terms) - np.log(loss))
        return float(np.where(size <= 1e-3, size**2 / 2, 1e-3 * (size - 5e-4)).sum())

    e, a, alpha, b, beta = found.law.vector
    here = np.asarray([np.log(e), np.log(a), alpha, np.log(b), beta])
    assert objective(here) == pytest.approx(found.objective, rel=1e-6)
    lower = minimize(objective, here, method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-9, "fatol": 1e-14})
    assert lower.fun >= found.objective * (1 - 1e-4)


def test_there_are_162_starts() -> None:
    assert len(scaling.starts(runs(0, 20, 0.01)[1], 2)) == 162


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_gradient_is_the_objectives_slope(seed: int) -> None:
    x, loss = runs(seed, 20, 0.1)
    u = np.log(x) - np.log(x).mean(axis=0)
    objective = scaling._Objective(u, np.log(loss), np.ones((1, 20)))
    at = np.random.default_rng(seed).normal(0, 1, 5)
    first = np.zeros(1, np.int64)
    slope = approx_fprime(at, lambda p: float(objective(p[None], first)[0][0]), 1e-7)
    assert objective(at[None], first)[1][0] == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_returns_are_the_slopes_of_loss_over_the_slopes_of_money(noisy: Fit) -> None:
    x = np.asarray([1e9, 2e10])
    found = marginal_returns(noisy, TERMS, x)
    for one in found.returns:
        more = x * np.where(np.asarray(INPUTS) == one.input, 1 + 1e-6, 1.0)
        expected = -(noisy.law.at(more) - noisy.law.at(x)) / (cost(TERMS, more) - cost(TERMS, x))
        assert one.value == pytest.approx(float(expected), rel=1e-4)
        assert one.low <= one.value <= one.high
    assert sum(one.probability_best for one in found.returns) == pytest.approx(1)


def test_a_budget_is_spent_to_the_last_cent(noisy: Fit) -> None:
    x = np.asarray([1e9, 2e10])
    for one in spend(noisy, TERMS, x, 250.0):
        then = np.where(np.asarray(INPUTS) == one.input, one.then, x)
        assert float(cost(TERMS, then) - cost(TERMS, x)) == pytest.approx(250.0, rel=1e-6)
        assert one.loss < float(noisy.law.at(x))


def test_what_a_target_takes_reaches_it_and_a_target_below_the_floor_is_refused(noisy: Fit) -> None:
    x = np.asarray([1e9, 2e10])
    for one in reach(noisy, x, 2.4):
        if one.value is not None:
            then = np.where(np.asarray(INPUTS) == one.input, one.value, x)
            assert float(noisy.law.at(then)) == pytest.approx(2.4)
    with pytest.raises(Unprocessable, match=r"not reachable: the floor is 1\.\d+ ± 0\.\d+"):
        reach(noisy, x, 1.0)


def test_a_plan_takes_runs_until_the_two_inputs_are_apart(noisy: Fit) -> None:
    x = np.asarray([5e9, 4e10])
    planned = plan(noisy, TERMS, x, INPUTS, around(x))
    assert planned.decides == (not planned.runs or planned.runs[-1].separation >= 1.96)
    assert planned.cost == pytest.approx(sum(run.cost for run in planned.runs))
    apart = [run.separation for run in planned.runs]
    assert apart == sorted(apart)


def test_a_plan_that_decides_holds_no_run_too_many() -> None:
    few, x = fit(INPUTS, *runs(6, 14, 0.01), bootstraps=100), np.asarray([5e9, 4e10])
    planned = plan(few, TERMS[:1], x, INPUTS, around(x))
    assert planned.decides
    apart = [run.separation for run in planned.runs]
    assert apart[-1] >= 1.96 > max([0.0, *apart[:-1]])
    dearest = np.asarray([[run.x[name] for name in INPUTS] for run in planned.runs])
    others = [row for row in around(x) if not (row == dearest).all(axis=1).any()]
    again = plan(few, TERMS[:1], x, INPUTS, np.asarray(others))
    assert not again.decides or again.cost >= planned.cost / 2


def test_the_optimum_for_compute_is_hoffmanns_closed_form() -> None:
    (a, b), (alpha, beta), flop = CHINCHILLA.coefficients, CHINCHILLA.exponents, 5.76e23
    factor = (alpha * a / (beta * b)) ** (1 / (alpha + beta))
    found = compute.best_for_compute(CHINCHILLA, flop)
    assert found.parameters == pytest.approx(factor * (flop / 6) ** (beta / (alpha + beta)), rel=1e-3)
    assert 6 * found.parameters * found.tokens == pytest.approx(flop, rel=1e-9)


def test_serving_makes_the_best_model_smaller_and_its_data_more() -> None:
    alone = compute.cheapest_for_loss(CHINCHILLA, 2.1)
    served = compute.cheapest_for_loss(CHINCHILLA, 2.1, served_tokens=1e13)
    assert served.parameters < alone.parameters
    assert served.tokens > alone.tokens
    assert float(CHINCHILLA.at(np.asarray([served.parameters, served.tokens]))) == pytest.approx(2.1)


def test_repeated_data_are_worth_less_and_less() -> None:
    unique = 1e9
    worth = compute.effective_data(unique * np.asarray([0.5, 1, 2, 5, 1000]), unique)
    # U + U·R*·(1 − e^(−R/R*)) with R* = 15.39: Muennighoff et al. (2023), equation 5
    expected = [0.5, 1, 1 + 15.39 * (1 - np.exp(-1 / 15.39)), 1 + 15.39 * (1 - np.exp(-4 / 15.39)), 16.39]
    assert worth / unique == pytest.approx(expected, rel=1e-6)


def test_what_rows_seen_again_are_worth_is_found_from_runs_that_repeat() -> None:
    r_star = 6.0
    x, _ = runs(3, 40, 0.0)
    unique = x[:, 1] / np.geomspace(1, 60, 40)
    truth = CHINCHILLA.at(repeats.worth(x, 1, unique, r_star))
    noise = np.random.default_rng(5).standard_normal(40)
    found = repeats.repeats(INPUTS, x, 1, unique, truth * np.exp(0.005 * noise))
    assert found.refused is None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= r_star <= found.high < 2 * found.low
    few = repeats.repeats(INPUTS, x, 1, np.where(unique < x[:, 1] / 40, unique, x[:, 1]), truth)
    assert (few.r_star, few.basis) == (compute.R_STAR, "assumed")


@pytest.mark.parametrize(
    ("x", "loss", "said"),
    [
        (np.ones((5, 2)), np.ones(5), "at least 8 runs"),
        (np.ones((9, 2)), np.ones(9), "fewer than three values of N"),
        (np.geomspace(1, 9, 9)[:, None] ** [1, 2], np.ones(9), "collinear"),
        (np.full((9, 2), np.nan), np.ones(9), "not a finite number"),
        (np.ones((9, 2)), np.zeros(9), "zero or less"),
    ],
)
def test_runs_that_show_no_law_are_refused_with_the_reason(x: np.ndarray, loss: np.ndarray, said: str) -> None:
    with pytest.raises(Unprocessable, match=said):
        fit(INPUTS, x, loss)


def test_the_expected_best_is_the_mean_over_all_draws_of_that_many_runs() -> None:
    errors = np.asarray([0.3, 0.1, 0.25, 0.17])
    for runs in (1, 2, 3):
        drawn = np.mean([min(draw) for draw in product(errors, repeat=runs)])
        assert float(expected_best(errors, runs)) == pytest.approx(float(drawn))


def test_search_is_held_against_the_inputs_of_the_law(noisy: Fit) -> None:
    x = np.asarray([1e9, 2e10])
    near = float(noisy.law.at(x))
    found = marginal_returns(noisy, TERMS, x, Tried([near * part for part in (1.5, 1.3, 1.2, 1.1, 1.0)], cost=0.01))
    assert found.returns[0].input == "search"
    assert sum(one.probability_best for one in found.returns) == pytest.approx(1)
    none = Tried([near] * 5, cost=0.01)  # runs that are all alike: search brings nothing
    assert marginal_returns(noisy, TERMS, x, none).returns[-1].value == pytest.approx(0)
    assert [one.value for one in bests(none, 50)] == pytest.approx([near] * 4)
    (searched,) = (one for one in spend(noisy, TERMS, x, 1.0, none) if one.input == "search")
    assert (searched.now, searched.then, searched.loss) == pytest.approx((5, 105, near))


def test_more_runs_never_promise_more_than_the_best_there_is() -> None:
    tried = Tried([0.2, 0.1, 0.3], cost=1.0)
    assert gains(tried, 1e6, 10)[0] == pytest.approx(float(expected_best(np.asarray(tried.errors), 3)) - 0.1)


def test_what_quality_earned_is_scipys_line_or_refused_with_the_reason() -> None:
    errors, per_day = [0.3, 0.25, 0.2, 0.15, 0.1, 0.05], [10.0, 16.0, 19.0, 26.0, 29.0, 36.0]
    told = [Earned(f"m@{at}", *pair, days=3) for at, pair in enumerate(zip(errors, per_day, strict=True))]
    found = earnings(told, 0.01)
    line = stats.linregress(errors, per_day)
    assert found.value == pytest.approx(-line.slope / 100)
    assert found.refused is None
    assert found.low is not None
    assert found.low == pytest.approx((-line.slope - stats.t.ppf(0.975, 4) * line.stderr) / 100)
    assert "5 are needed" in str(earnings(told[:4], 0.01).refused)
    level = [one.__class__(one.version, one.error, 20.0 + (at % 2), 3) for at, one in enumerate(told)]
    assert "do not show that better versions earned more" in str(earnings(level, 0.01).refused)
