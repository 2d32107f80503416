"""Turns run on their own."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from domain.model.events import Accepted, Ended, Failed, Text, TurnEvent
from domain.model.failures import BackendError, Delivery, Failure, FailureCode
from domain.model.turn import Turn, UserMessage
from domain.model.turn_log import TurnLog
from domain.services.rosters import Rosters
from domain.services.turns import Turns
from tests.fakes.gateway import ANNA, FakeGateway, Step

pytestmark = pytest.mark.anyio

ASKED = Turn(ANNA, UserMessage("a secret question"))


def gateway_saying(*steps: Step) -> FakeGateway:
    return FakeGateway(answers={ASKED.message.text: steps})


def turns_of(gateway: FakeGateway) -> Turns:
    return Turns(gateway, Rosters(gateway))


async def ended(log: TurnLog) -> TurnEvent:
    reader = log.reader()
    while not reader.finished:
        await reader.take()
    return log.events[-1]


async def test_a_turn_is_delivered_once_however_many_read_it() -> None:
    gateway = gateway_saying(Accepted(), 1.0, Text("yes"), Ended())
    log = turns_of(gateway).start(ASKED)
    assert await asyncio.gather(*(ended(log) for _ in range(5))) == [Ended()] * 5
    assert gateway.delivered == [ASKED]


async def test_a_turn_goes_on_when_nobody_reads() -> None:
    gateway = gateway_saying(Accepted(), 1.0, Text("yes"), Ended())
    log = turns_of(gateway).start(ASKED)
    reading = asyncio.create_task(ended(log))
    await asyncio.sleep(0.5)
    reading.cancel()
    await asyncio.sleep(1)
    assert log.ended
    assert gateway.closed_early == []


async def test_a_failure_of_the_backend_is_the_last_event() -> None:
    failure = Failure(FailureCode.LLM_ERROR, Delivery.YES, "why")
    log = turns_of(gateway_saying(Accepted(), Text("so far"), failure)).start(ASKED)
    assert await ended(log) == Failed(failure)
    assert len(log.events) == 3


async def test_a_bug_is_an_internal_error_and_the_log_has_no_message_text(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeGateway):
        async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
            yield Accepted()
            raise ValueError("bug")

    last = await ended(turns_of(Broken()).start(ASKED))
    assert isinstance(last, Failed)
    assert last.failure.code is FailureCode.INTERNAL_ERROR
    assert "secret question" not in caplog.text
    assert "ValueError" in caplog.text


async def test_a_gateway_that_yields_no_end_is_a_bug() -> None:
    last = await ended(turns_of(gateway_saying(Accepted(), Text("yes"))).start(ASKED))
    assert isinstance(last, Failed)
    assert last.failure.code is FailureCode.INTERNAL_ERROR


async def test_an_agent_that_is_gone_is_taken_off_the_roster() -> None:
    gateway = FakeGateway()
    rosters = Rosters(gateway)
    await rosters.current()
    gateway.known.remove(ANNA)
    await ended(Turns(gateway, rosters).start(ASKED))
    roster = rosters.current_or_none
    assert roster is not None
    assert roster.resolve(ANNA.id) is None


async def test_turns_that_are_let_go_end_with_the_truth_about_delivery() -> None:
    gateway = FakeGateway(
        answers={"quick": [Accepted(), 2.0, Ended()], "slow": [Accepted(), 99.0, Ended()], "mute": [99.0, Ended()]}
    )
    turns = turns_of(gateway)
    quick, slow, mute = (turns.start(Turn(ANNA, UserMessage(text))) for text in ("quick", "slow", "mute"))
    await asyncio.sleep(30)
    await turns.let_go()
    assert asyncio.get_running_loop().time() == 30
    assert await ended(quick) == Ended()
    assert await ended(slow) == Failed(Failure(FailureCode.SHUTTING_DOWN, Delivery.YES))
    assert await ended(mute) == Failed(Failure(FailureCode.SHUTTING_DOWN, Delivery.UNKNOWN))


@pytest.mark.parametrize("code", FailureCode)
@pytest.mark.parametrize("delivery", Delivery)
def test_every_failure_has_words_for_people(code: FailureCode, delivery: Delivery) -> None:
    sentence = Failure(code, delivery, "the cause").sentence
    assert "the cause" not in sentence
    assert ("Your message was delivered" in sentence) == (delivery is Delivery.YES)
    assert ("Nothing was delivered" in sentence) == (delivery is Delivery.NO)
    assert str(BackendError(Failure(code, delivery, "the cause"))) == f"{code}: the cause"
