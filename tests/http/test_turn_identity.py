"""What requests are known by does not change with an upgrade: whoever asks again across it gets the first answer."""

import hashlib

from domain.model.api_key import Caller
from domain.model.turn import TurnRequest, UserMessage
from entrypoints.http.chat_headers import ChatHeaders
from entrypoints.http.turn_identity import identity_of
from tests.fakes.gateway import ANNA

HEADERS = ChatHeaders(chat="1", message_id="m", idempotency_key="k", retry_count=1)


def known_by(caller: Caller, headers: ChatHeaders = HEADERS) -> tuple[bytes, str | None, str | None]:
    turn = TurnRequest(ANNA, UserMessage("hi"), caller.own(headers.chat), owner=caller.id)
    identity = identity_of(caller, turn, headers, b"digest")
    return identity.body, identity.idempotency_key, identity.message_id


def test_the_main_keys_requests_are_known_as_before_keys_had_ids() -> None:
    body = b"digest\0" + ANNA.id.encode() + b"\x001\0"
    assert known_by(Caller(digest="d")) == (body, "\0k", f"{ANNA.id}\0001\0\0m\0")


def test_so_are_those_of_a_key_whose_id_is_its_name() -> None:
    body = b"digest\0" + ANNA.id.encode() + b"\x001\0alice"
    assert known_by(Caller("alice", "d", id="alice")) == (body, "alice\0k", f"{ANNA.id}\0001\0alice\0m\0")


def test_keys_are_told_apart_by_their_ids() -> None:
    alices = [known_by(Caller("alice", hashlib.sha256(id_.encode()).hexdigest(), id=id_)) for id_ in (":1", ":2")]
    for one, other in zip(*alices, strict=True):
        assert one != other
