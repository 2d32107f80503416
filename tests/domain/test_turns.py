"""Turns run on their own, one at a time in each conversation."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from domain.model.events import Accepted, Ended, Failed, Text, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.turn import Turn, TurnRequest, UserMessage
from domain.model.turn_rules import TurnRules
from domain.services.roster_cache import RosterCache
from tests.fakes.gateway import ANNA, BERT, FakeGateway, Step
from tests.fakes.services import Client, alone, turns_of

pytestmark = pytest.mark.anyio

SLOW: list[Step] = [Accepted("run"), 1.0, Text("yes"), Ended()]


def slow_gateway() -> FakeGateway:
    return FakeGateway(answers={f"q{number}": SLOW for number in range(30)})


def in_chat(text: str, chat: str) -> TurnRequest:
    return TurnRequest(ANNA, UserMessage(text), chat)


async def test_a_failure_of_the_backend_is_the_last_event() -> None:
    failure = Failure(FailureCode.LLM_ERROR, Delivery.YES, "why")
    client = Client(turns_of(FakeGateway(answers={"q": [Accepted("run"), Text("so far"), failure]})))
    asked = client.ask("q")
    assert await asked.failure() == failure
    assert len(asked.events) == 3


async def test_a_bug_is_an_internal_error_and_the_log_has_no_message_text(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeGateway):
        async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
            yield Accepted()
            raise ValueError("bug")

    failure = await Client(turns_of(Broken())).ask("a secret question").failure()
    assert failure.code is FailureCode.INTERNAL_ERROR
    assert "secret question" not in caplog.text
    assert "ValueError" in caplog.text


async def test_a_gateway_that_yields_no_end_is_a_bug() -> None:
    client = Client(turns_of(FakeGateway(answers={"q": [Accepted("run"), Text("yes")]})))
    assert (await client.ask("q").failure()).code is FailureCode.INTERNAL_ERROR


async def test_an_agent_that_is_gone_is_taken_off_the_roster() -> None:
    gateway = FakeGateway()
    rosters = RosterCache(alone(gateway))
    await rosters.current()
    gateway.known.remove(ANNA)
    await Client(turns_of(gateway, rosters=rosters)).ask("q").failure()
    roster = rosters.current_or_none
    assert roster is not None
    assert roster.resolve(ANNA.id) is None


async def test_one_conversation_is_served_in_order_and_one_at_a_time() -> None:
    gateway = slow_gateway()
    client = Client(turns_of(gateway))
    asked = [client.ask(f"q{number}") for number in range(5)]
    assert await asyncio.gather(*(each.text() for each in asked)) == ["yes"] * 5
    assert gateway.heard == [f"q{number}" for number in range(5)]
    assert gateway.most_at_once == 1
    assert asyncio.get_running_loop().time() == 5


async def test_other_conversations_and_agents_do_not_wait() -> None:
    gateway = slow_gateway()
    client = Client(turns_of(gateway))
    other = TurnRequest(BERT, UserMessage("q1"))
    asked = [client.ask(each) for each in ("q0", other, in_chat("q2", "x"), in_chat("q3", "y"))]
    await asyncio.gather(*(each.text() for each in asked))
    assert asyncio.get_running_loop().time() == 1


async def test_beyond_the_bound_a_turn_is_refused_at_once_and_nothing_delivered() -> None:
    gateway = slow_gateway()
    client = Client(turns_of(gateway, TurnRules(max_waiting=2)))
    asked = [client.ask(f"q{number}") for number in range(3)]
    with pytest.raises(FailureError) as raised:
        client.ask("q3")
    assert raised.value.failure.code is FailureCode.TURN_QUEUE_FULL
    await asyncio.gather(*(each.text() for each in asked))
    assert await client.ask("q4").text() == "yes"
    assert gateway.heard == ["q0", "q1", "q2", "q4"]


async def test_after_a_failure_the_next_one_is_served() -> None:
    gateway = FakeGateway(answers={"bad": [Accepted("run"), 1.0, Failure(FailureCode.LLM_ERROR, Delivery.NO)]})
    client = Client(turns_of(gateway))
    bad, good = client.ask("bad"), client.ask("good")
    assert (await bad.failure()).code is FailureCode.LLM_ERROR
    assert await good.text() == "You said: good"


async def test_turns_that_are_let_go_end_with_the_truth_about_delivery() -> None:
    gateway = FakeGateway(
        answers={
            "quick": [Accepted("r"), 2.0, Ended()],
            "slow": [Accepted("r"), 99.0, Ended()],
            "mute": [99.0, Ended()],
        }
    )
    turns = turns_of(gateway)
    client = Client(turns)
    quick, slow, mute = (client.ask(in_chat(text, text)) for text in ("quick", "slow", "mute"))
    waiting = client.ask(in_chat("never delivered", "slow"))
    await asyncio.sleep(30)
    await turns.shut_down()
    assert asyncio.get_running_loop().time() == 30
    assert await quick.answer()
    assert await slow.failure() == Failure(FailureCode.SHUTTING_DOWN, Delivery.YES)
    assert await mute.failure() == Failure(FailureCode.SHUTTING_DOWN, Delivery.UNKNOWN)
    assert await waiting.failure() == Failure(FailureCode.SHUTTING_DOWN, Delivery.NO)
    assert gateway.cancelled == []
    with pytest.raises(FailureError) as raised:
        client.ask("too late")
    assert raised.value.failure == Failure(FailureCode.SHUTTING_DOWN, Delivery.NO)


@pytest.mark.parametrize("code", FailureCode)
@pytest.mark.parametrize("delivery", Delivery)
def test_every_failure_has_words_for_people(code: FailureCode, delivery: Delivery) -> None:
    sentence = Failure(code, delivery, "the cause").sentence
    assert "the cause" not in sentence
    assert ("Your message was delivered" in sentence) == (delivery is Delivery.YES)
    assert ("Nothing was delivered" in sentence) == (delivery is Delivery.NO)
    assert str(FailureError(Failure(code, delivery, "the cause"))) == f"{code}: the cause"


async def test_no_chat_key_is_that_of_a_turn_in_passing() -> None:
    gateway = FakeGateway(answers={"slow": SLOW})
    client = Client(turns_of(gateway))
    chats = ["passing 1", "\0passing 1", "\0passing 2", "1", "2"]
    asked = [client.ask(TurnRequest(ANNA, UserMessage("slow"), ephemeral=True)) for _ in range(2)]
    asked += [client.ask(TurnRequest(ANNA, UserMessage("slow"), chat)) for chat in chats]
    await asyncio.gather(*(each.text() for each in asked))
    # Nobody has waited for anybody.
    assert asyncio.get_running_loop().time() < 2


async def test_a_turn_in_passing_has_a_conversation_of_its_own_that_is_gone_afterwards() -> None:
    gateway = slow_gateway()
    client = Client(turns_of(gateway))
    first = client.ask("q0")
    passing = client.ask(TurnRequest(ANNA, UserMessage("q1"), ephemeral=True))
    assert await passing.text() == "yes"
    assert asyncio.get_running_loop().time() == 1
    await first.text()
    assert {turn.conversation for turn in gateway.delivered} == {None, "conversation-1"}
    assert gateway.kept_conversations == []


async def test_failed_events_are_seen_by_every_reader() -> None:
    failure = Failure(FailureCode.AGENT_ERROR, Delivery.YES)
    client = Client(turns_of(FakeGateway(answers={"q": [Accepted("run"), 1.0, failure]})))
    asked = client.ask("q", b"same")
    asked.hang_up()
    again = client.ask("q", b"same")
    assert (await again.answer())[-1] == Failed(failure)
