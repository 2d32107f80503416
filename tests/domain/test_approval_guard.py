"""Who may approve: in an agent's default history the key that was asked, or the main key; in a chat whoever has it."""

import asyncio
from collections.abc import Collection

import pytest

from adapters.memory.approval_store import MemoryApprovalStore
from domain.model.events import Accepted, ApprovalRequest, Ended
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.turn import TurnRequest, UserMessage, Verdict
from tests.fakes.gateway import ANNA, FakeGateway
from tests.fakes.services import Client, turns_of

pytestmark = pytest.mark.anyio

CALL = ApprovalRequest("call-1", "delete_todo", '{"number": 2}')
MAIN = ""


def request(text: str, owner: str, chat: str | None = None) -> TurnRequest:
    return TurnRequest(ANNA, UserMessage(text), chat, owner=owner)


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway(answers={"delete it": [Accepted("run"), CALL, Ended()]})


async def approved(gateway: FakeGateway, asked: str, answers: str, text: str = "/approve") -> Verdict:
    """What becomes of the call about which one key was asked when another one, or the same, says that."""
    client = Client(turns_of(gateway))
    await client.ask(request("delete it", asked)).text()
    await client.ask(request(text, answers)).text()
    verdict = gateway.delivered[-1].verdict
    assert verdict is not None
    return verdict


@pytest.mark.parametrize(("asked", "answers"), [("alice", "alice"), ("alice", MAIN), (MAIN, MAIN)])
async def test_who_was_asked_approves_and_the_main_key(gateway: FakeGateway, asked: str, answers: str) -> None:
    assert (await approved(gateway, asked, answers)).approve


@pytest.mark.parametrize(("asked", "answers"), [("alice", "bob"), (MAIN, "bob")])
@pytest.mark.parametrize("text", ["/approve", " /Approve\n", "/approve yes, all of them"])
async def test_another_key_does_not_approve_but_denies(
    gateway: FakeGateway, asked: str, answers: str, text: str
) -> None:
    verdict = await approved(gateway, asked, answers, text)
    assert not verdict.approve
    assert "Somebody else was asked" in verdict.reason
    assert gateway.delivered[-1].message is None
    assert not gateway.waiting


@pytest.mark.parametrize(("text", "delivers"), [("/deny no", None), ("never mind", "never mind")])
async def test_everybody_denies(gateway: FakeGateway, text: str, delivers: str | None) -> None:
    assert not (await approved(gateway, "alice", "bob", text)).approve
    message = gateway.delivered[-1].message
    assert (message.text if message else None) == delivers


async def test_of_what_waits_from_elsewhere_only_the_main_key_knows_enough() -> None:
    for owner, approve in (("alice", False), (MAIN, True)):
        gateway = FakeGateway()
        gateway.waiting[ANNA.id, None] = [CALL]
        await Client(turns_of(gateway)).ask(request("/approve", owner)).text()
        verdict = gateway.delivered[-1].verdict
        assert verdict is not None
        assert verdict.approve == approve


async def test_who_was_asked_about_one_call_does_not_approve_another_with_it(gateway: FakeGateway) -> None:
    client = Client(turns_of(gateway))
    await client.ask(request("delete it", "alice")).text()
    gateway.waiting[ANNA.id, None].append(ApprovalRequest("call-2", "shout"))
    await client.ask(request("/approve", "alice")).text()
    assert gateway.delivered[-1].verdict == Verdict(
        ("call-1", "call-2"), False, "Somebody else was asked to approve this, and has not done so."
    )


async def test_another_process_knows_who_was_asked(gateway: FakeGateway) -> None:
    store = MemoryApprovalStore()
    await Client(turns_of(gateway, approvals=store)).ask(request("delete it", "alice")).text()
    await Client(turns_of(gateway, approvals=store)).ask(request("/approve", "alice")).text()
    assert gateway.delivered[-1].verdict == Verdict(("call-1",), True)


async def test_after_a_restart_without_a_state_only_the_main_key_approves(gateway: FakeGateway) -> None:
    await Client(turns_of(gateway)).ask(request("delete it", "alice")).text()
    await Client(turns_of(gateway)).ask(request("/approve", "alice")).text()
    verdict = gateway.delivered[-1].verdict
    assert verdict is not None
    assert not verdict.approve


async def test_in_a_chat_of_its_own_a_key_answers_what_waits_there(gateway: FakeGateway) -> None:
    client = Client(turns_of(gateway))
    await client.ask(request("delete it", "alice", ":a\n1")).text()
    # In another chat nothing waits: this is a message like any other.
    assert await client.ask(request("/approve", "bob", ":b\n1")).text() == "You said: /approve"
    assert await client.ask(request("/approve", "alice")).text() == "You said: /approve"
    await client.ask(request("/approve", "alice", ":a\n1")).text()
    assert gateway.delivered[-1].verdict == Verdict(("call-1",), True)


class Slow(MemoryApprovalStore):
    async def keep(self, agent_id: str, call_ids: Collection[str], owner: str) -> None:
        await asyncio.sleep(1)
        await super().keep(agent_id, call_ids, owner)


async def test_who_has_been_asked_is_known_when_the_answer_ends(gateway: FakeGateway) -> None:
    """So that a service which is stopped as soon as there is nothing left to say loses nothing."""
    store = Slow()
    await Client(turns_of(gateway, approvals=store)).ask(request("delete it", "alice")).text()
    assert await store.asked_of(ANNA.id, "alice") == {"call-1"}


class Failing(MemoryApprovalStore):
    async def keep(self, *_: object) -> None:
        raise FailureError(Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO))

    async def asked_of(self, *_: object) -> frozenset[str]:
        raise FailureError(Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO))


async def test_a_state_that_is_away_costs_no_answer_and_decides_nothing(gateway: FakeGateway) -> None:
    client = Client(turns_of(gateway, approvals=Failing()))
    assert "/approve" in await client.ask(request("delete it", "alice")).text()
    failure = await client.ask(request("/approve", "alice")).failure()
    assert (failure.code, failure.delivery) == (FailureCode.STATE_UNAVAILABLE, Delivery.NO)
    assert gateway.waiting
    await client.ask(request("/approve", MAIN)).text()
    assert gateway.delivered[-1].verdict == Verdict(("call-1",), True)
