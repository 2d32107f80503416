"""Which key holds, and which candidates it lets in."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.model.api_key import ApiKey, is_sendable, new_key
from domain.services.api_keys import establish_key
from tests.fakes.key_store import FakeKeyStore


def no_key_wanted() -> str:
    raise AssertionError("no key needs to be made")


def test_the_first_store_that_has_a_key_wins() -> None:
    first, second, third = FakeKeyStore(), FakeKeyStore("the key", place="here"), FakeKeyStore("another")
    established = establish_key([first, second, third], no_key_wanted)
    assert (established.key, established.place, established.generated) == ("the key", "here", False)
    assert third.asked == 0


def test_without_any_key_a_new_one_is_kept_in_the_last_store() -> None:
    first, last = FakeKeyStore(), FakeKeyStore(place="there")
    established = establish_key([first, last], lambda: "new")
    assert (established.key, established.place, established.generated) == ("new", "there", True)
    assert (first.key, last.key) == (None, "new")


def test_a_key_that_another_process_made_meanwhile_is_used_and_is_not_ours() -> None:
    established = establish_key([FakeKeyStore(rival="theirs")], lambda: "ours")
    assert (established.key, established.generated) == ("theirs", False)


def test_an_established_key_does_not_show() -> None:
    assert "secret" not in repr(establish_key([FakeKeyStore("secret")], no_key_wanted))


def test_new_keys_are_64_hexadecimal_characters_and_never_the_same() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch("[0-9a-f]{64}", key) for key in keys)


@given(st.binary(min_size=1), st.binary())
def test_a_key_matches_itself_only(key: bytes, other: bytes) -> None:
    assert ApiKey(key).matches(key)
    assert ApiKey(key).matches(other) == (key == other)


def test_a_candidate_that_is_not_ascii_is_just_a_wrong_key() -> None:
    assert not ApiKey(b"key").matches("schlüssel".encode())


def test_there_is_no_empty_key() -> None:
    with pytest.raises(ValueError, match="empty"):
        ApiKey(b"")


def test_a_key_does_not_show() -> None:
    assert "secret" not in repr(ApiKey(b"secret"))
    assert "secret" not in f"{ApiKey(b'secret')}"


@pytest.mark.parametrize(
    "key", ["", " ", " key", "key\n", "k\ney", "k\tey", "k\x00", "k\x7f", "k\x85", "k\ud83d", "k\u200bey"]
)
def test_a_key_that_cannot_stand_in_a_header_is_not_sendable(key: str) -> None:
    assert not is_sendable(key)


@pytest.mark.parametrize("key", ["k", "a b", "sk-123_-.~+/=", "schlüssel"])
def test_a_key_that_can_stand_in_a_header_is_sendable(key: str) -> None:
    assert is_sendable(key)
