import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.core import keys
from gristmill.core.errors import Unauthenticated


def test_a_key_is_known_by_its_secret_and_only_a_hash_is_kept() -> None:
    key = keys.mint()
    identifier, secret = keys.parse(key.token)
    stored = keys.secret_hash(b"pepper", secret)
    assert identifier == key.id
    assert keys.verify(b"pepper", secret, stored)
    assert secret.encode() not in stored
    assert not keys.verify(b"other", secret, stored)


@given(st.integers(3, 55), st.characters(codec="ascii"))
def test_any_single_mistyped_character_is_noticed_before_a_look_up(place: int, character: str) -> None:
    token = keys.mint().token
    mistyped = token[:place] + character + token[place + 1 :]
    if mistyped != token:
        with pytest.raises(Unauthenticated):
            keys.parse(mistyped)


@given(st.text(max_size=80))
def test_what_is_no_key_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(Unauthenticated):
        keys.parse(text)
