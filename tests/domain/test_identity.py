"""Whatever ids clients choose: no request is known by what another one is known by, and none by what is our own."""

from hypothesis import given
from hypothesis import strategies as st

from domain.model.agent import Agent
from domain.model.api_key import Caller
from domain.model.identity import Identity, joined
from domain.model.lane import lane_of, name_of
from domain.model.turn import TurnRequest, UserMessage
from entrypoints.http.chat_headers import ChatHeaders
from entrypoints.http.turn_identity import identity_of

# Few characters, so that texts are often almost the same.
texts = st.text("a:\0\1 %20k", max_size=4)
DIGEST = bytes(32)


def sent(agent: str, chat: str, caller: str, kind: str, id_: str) -> Identity:
    ids = {kind: id_} if kind else {}
    headers = ChatHeaders(chat=chat or None, **ids)  # type: ignore[arg-type]
    turn = TurnRequest(Agent(agent, "anna", 0), UserMessage("hi"), chat or None)
    return identity_of(Caller(id=caller), turn, headers, DIGEST)


kinds = st.sampled_from(["idempotency_key", "message_id"])
requests = st.tuples(texts, texts, texts, kinds, texts) | st.tuples(texts, texts, texts, st.just(""), st.just(""))


@given(requests, requests)
def test_other_requests_have_other_identities(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    if one != other:
        mine, yours = sent(*one), sent(*other)
        assert mine.body != yours.body or mine.id != yours.id
        if mine.id is not None and mine.id == yours.id:
            # The same key of the same caller: for which agent and chat, the body tells.
            assert one[2:] == other[2:]
        elif mine.id != yours.id:
            assert mine.state_key != yours.state_key


@given(st.text("job_0a\0\1", max_size=8), requests)
def test_no_request_has_the_identity_of_a_job(job_id: str, request: tuple[str, ...]) -> None:
    job = Identity(DIGEST, job=job_id, attempt=1)
    asked = sent(*request)
    assert asked.id != job.id
    assert asked.state_key != job.state_key
    for id_ in (job_id, f"\0{job_id}", f"job {job_id}"):
        for mine in (Identity(DIGEST, id_), Identity(DIGEST, message_id=id_), Identity(id_.encode())):
            assert mine.state_key != job.state_key


@given(st.lists(texts), st.lists(texts))
def test_texts_are_joined_so_that_they_can_be_told_apart(ones: list[str], others: list[str]) -> None:
    if ones and others and ones != others:
        assert joined(*ones) != joined(*others)


@given(texts, texts.map(lambda text: text or None), texts, texts.map(lambda text: text or None))
def test_other_lanes_have_other_names(agent: str, chat: str | None, other: str, chat_there: str | None) -> None:
    assert lane_of(name_of((agent, chat))) == (agent, chat)
    if (agent, chat) != (other, chat_there):
        assert name_of((agent, chat)) != name_of((other, chat_there))
