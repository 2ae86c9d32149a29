import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core.errors import Unprocessable
from gristmill.core.ids import check_name, derived_id, new_id, parse_reference


def test_ids_are_unique_and_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**18, 10**18 + 5_000 * 10**6, 10**6))
    monkeypatch.setattr("time.time_ns", lambda: next(clock))
    ids = [new_id("run") for _ in range(2_000)]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_a_derived_id_is_the_same_exactly_for_the_same_work(one: list[str], other: list[str]) -> None:
    separated = all("\x1f" not in part for part in one + other)
    if separated and [*one, ""] != [*other, ""] and not (one in ([], [""]) and other in ([], [""])):
        assert derived_id("event", *one) != derived_id("event", *other)
    assert derived_id("event", *one) == derived_id("event", *one)


@pytest.mark.parametrize("name", ["Digits", "../etc", "", "a/b", ".hidden", "x" * 64, "a b", "a\n"])
def test_a_name_that_could_be_a_path_or_a_trick_is_refused(name: str) -> None:
    with pytest.raises(Unprocessable, match="is not valid"):
        check_name(name, "model")


def test_a_reference_names_a_version_an_alias_or_neither() -> None:
    assert parse_reference("digits@2") == ("digits", "2")
    assert parse_reference("digits@champion") == ("digits", "champion")
    assert parse_reference("digits") == ("digits", None)
    with pytest.raises(Unprocessable):
        parse_reference("digits@2@3")
