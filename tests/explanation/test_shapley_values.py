"""Shapley values against captum's enumeration, a published game, and their axioms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from captum.attr import ShapleyValues
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import Unprocessable
from gristmill.explanation.explain import explain
from gristmill.explanation.shapley import exact, sampled
from tests.explanation.subjects import image, image_rows, mixed_table, table, table_rows, text, text_rows


def game(players: int, seed: int) -> np.ndarray:
    """Worth of every coalition, by its bits."""
    return np.random.default_rng(seed).normal(size=2**players)


def worth_of(values: np.ndarray, players: int):
    return lambda coalitions: values[coalitions @ (1 << np.arange(players))]


def by_definition(values: np.ndarray, players: int) -> np.ndarray:
    """The mean over all orders of what each player adds when it comes."""
    found, orders = np.zeros(players), list(itertools.permutations(range(players)))
    for order in orders:
        present = 0
        for player in order:
            found[player] += values[present | 1 << player] - values[present]
            present |= 1 << player
    return found / len(orders)


@given(players=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_enumeration_is_the_mean_over_all_orders(players: int, seed: int) -> None:
    values = game(players, seed)
    np.testing.assert_allclose(exact(worth_of(values, players), players), by_definition(values, players), atol=1e-12)


def test_the_glove_game_has_its_published_values() -> None:
    # one left glove against two right ones (Shapley and Shubik's market): 2/3, 1/6, 1/6
    def pair(coalitions: np.ndarray) -> np.ndarray:
        return (coalitions[:, 0] & (coalitions[:, 1] | coalitions[:, 2])).astype(float)

    np.testing.assert_allclose(exact(pair, 3), [2 / 3, 1 / 6, 1 / 6])


@given(seed=st.integers(0, 2**32 - 1), permutations=st.integers(1, 4))
def test_drawn_orders_share_out_the_whole_score(seed: int, permutations: int) -> None:
    values = game(7, seed)
    found = sampled(worth_of(values, 7), 7, permutations)
    np.testing.assert_allclose(found.sum(), values[-1] - values[0], atol=1e-9)


def test_one_pair_of_orders_is_exact_where_units_meet_only_in_pairs() -> None:
    generator = np.random.default_rng(3)
    pairs = generator.normal(size=(6, 6))

    def worth(coalitions: np.ndarray) -> np.ndarray:
        return np.einsum("mi,ij,mj->m", coalitions, pairs, coalitions)

    np.testing.assert_allclose(sampled(worth, 6, 1), exact(worth, 6), atol=1e-9)


def test_many_drawn_orders_come_near_enumeration() -> None:
    values = game(6, 4)
    found, expected = sampled(worth_of(values, 6), 6, 4000), exact(worth_of(values, 6), 6)
    np.testing.assert_allclose(found, expected, atol=0.08)


def test_shapley_values_of_a_table_are_captums() -> None:
    subject, module = table()
    raw = table_rows()
    found = explain(subject, raw, method="shapley", target=1)
    inputs = torch.from_numpy(subject.preprocessing.apply(raw)["features"])
    expected = ShapleyValues(module).attribute(inputs, target=1).detach().numpy()
    np.testing.assert_allclose([one.values for one in found], expected, atol=1e-6)
    assert (found[0].method, found[0].names) == ("shapley", ["ash", "flavour", "hue", "proline"])
    assert found[0].deletion_auc is not None


def test_a_categorys_columns_are_one_player() -> None:
    subject, module = mixed_table()
    raw = {
        "age": np.array([[30.0]], np.float32),
        "region": np.array([[b"south"]], object),
        "income": np.array([[12.0]], np.float32),
    }
    (found,) = explain(subject, raw, method="shapley", target=0)
    inputs = torch.from_numpy(subject.preprocessing.apply(raw)["features"])
    mask = torch.tensor([[0, 1, 1, 1, 1, 2]])
    expected = ShapleyValues(module).attribute(inputs, target=0, feature_mask=mask)[0, [0, 1, 5]].detach().numpy()
    np.testing.assert_allclose(found.values, expected, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"window": 3}, {"window": 4}, {"window": 3, "permutations": 2}])
def test_the_pixels_of_an_image_share_out_its_score(options: dict) -> None:
    subject, _ = image()
    raw = image_rows()
    baseline = subject.preprocessing.baseline(raw)["image"]
    empty = subject.predict({"image": np.broadcast_to(baseline, (2, 1, 8, 8)).astype(np.float32)})[:, 2]
    for row, one in enumerate(explain(subject, raw, method="shapley", target=2, options=options)):
        assert np.shape(one.values) == (8, 8)
        assert np.sum(one.values) == pytest.approx(one.score - empty[row], abs=1e-5)


def test_shapley_values_of_a_text_have_one_for_each_token() -> None:
    subject, _ = text()
    found = explain(subject, text_rows(b"good water, good mill", b"bad stone", b""), method="shapley")
    assert [len(one.values) for one in found] == [5, 2, 0]
    assert [one.names for one in found][1] == ["bad", "stone"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"permutation": 3}, "Did you mean 'permutations'"),
        ({"permutations": 0}, "from 1 to"),
        ({"permutations": 100_000}, "from 1 to"),
        ({"window": 3}, "no option 'window'"),
    ],
)
def test_a_wrong_option_is_refused_in_one_sentence(options: dict, said: str) -> None:
    subject, _ = table()
    with pytest.raises(Unprocessable, match=said):
        explain(subject, table_rows(), method="shapley", options=options)
