from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import Unprocessable
from gristmill.core.money import MICRO, format_micro, parse_money, price_of, split_largest_remainder, to_micro


def test_an_amount_is_read_with_its_currency() -> None:
    assert (parse_money("120USD").micro, parse_money("0.25 eur").currency) == (120 * MICRO, "EUR")


@pytest.mark.parametrize(
    "text", ["-1USD", "12", "12 XXX", "nanUSD", "1e3USD", "infUSD", "", "12USDD", "1000000000001USD"]
)
def test_an_amount_that_is_not_one_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(Unprocessable) as refusal:
        parse_money(text)
    assert refusal.value.message.endswith(".")
    assert "\n" not in refusal.value.message


def test_halves_are_rounded_to_even() -> None:
    assert [to_micro(Decimal(f"0.000000{half}")) for half in (5, 15, 25)] == [0, 0, 0]
    assert [to_micro(Decimal(text)) for text in ("0.0000005", "0.0000015", "0.0000025")] == [0, 2, 2]


def test_a_price_times_a_quantity_is_rounded_once() -> None:
    assert price_of(3, Decimal("0.0000005")) == 2  # 1.5 micro → 2, and not 3 × round(0.5) = 0


@given(st.integers(-(10**18), 10**18))
def test_text_of_an_amount_reads_back_as_the_same_amount(micro: int) -> None:
    assert to_micro(format_micro(micro)) == micro


@given(st.integers(-(10**15), 10**15), st.lists(st.integers(0, 10**9), min_size=1, max_size=30))
def test_parts_of_a_split_sum_to_the_whole_and_stay_within_one_unit_of_their_share(
    total: int, weights: list[int]
) -> None:
    parts = split_largest_remainder(total, weights)
    if sum(weights) == 0:
        assert parts is None
        return
    assert parts is not None
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(Decimal(part) - Decimal(total) * weight / sum(weights)) < 1
