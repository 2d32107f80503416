"""The log of a turn and its readers."""

import asyncio
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.model.events import Accepted, Ended, Failed, Text, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.services.turn_log import MOST_AT_ONCE, TurnLog, TurnReader

pytestmark = pytest.mark.anyio

TURN: list[TurnEvent] = [Accepted("run-1"), Text("one"), Text("two"), Ended()]


async def whole(reader: TurnReader) -> list[TurnEvent]:
    events: list[TurnEvent] = []
    while not reader.finished:
        events += await reader.take()
    return events


async def write(log: TurnLog, pause: float) -> None:
    for event in TURN:
        await asyncio.sleep(pause)
        log.append(event)


async def test_early_and_late_readers_see_the_same() -> None:
    log = TurnLog()
    early = [asyncio.create_task(whole(log.reader())) for _ in range(3)]
    await write(log, 1)
    assert await asyncio.gather(*early) == [TURN] * 3
    assert await whole(log.reader()) == TURN


async def test_a_slow_reader_takes_all_that_has_come_in_one_piece() -> None:
    log = TurnLog()
    reader = log.reader()
    await write(log, 0)
    assert await reader.take() == TURN
    assert reader.finished
    assert not await reader.take()


async def test_patience_ends_in_nothing_and_loses_nothing() -> None:
    log = TurnLog()
    reader = log.reader()
    clock = asyncio.get_running_loop().time
    assert not await reader.take(15)
    assert clock() == 15
    log.append(TURN[0])
    assert await reader.take(0) == [TURN[0]]
    assert not await reader.take(0)


async def test_a_long_answer_is_taken_in_pieces() -> None:
    events: list[TurnEvent] = [Text(str(number)) for number in range(MOST_AT_ONCE + 10)]
    reader = TurnLog([*events, Ended()]).reader()
    assert await reader.take() == events[:MOST_AT_ONCE]
    assert not reader.finished
    assert await reader.take() == [*events[MOST_AT_ONCE:], Ended()]
    assert reader.finished


@pytest.mark.parametrize("until", [3, 15, 20, math.inf])
async def test_each_wait_has_an_end_of_its_own(until: float) -> None:
    log = TurnLog()
    reader = log.reader()
    clock = asyncio.get_running_loop().time
    asyncio.get_running_loop().call_later(2, log.append, TURN[0])
    asyncio.get_running_loop().call_later(100, log.append, TURN[1])
    assert await reader.take(15) == [TURN[0]]
    assert await reader.take(until) == ([] if until < math.inf else [TURN[1]])
    assert clock() == min(until, 100)


async def test_a_reader_that_is_closed_leaves_no_timer_behind() -> None:
    log = TurnLog()
    reader = log.reader()
    asyncio.get_running_loop().call_later(2, log.append, TURN[0])
    await reader.take(15)
    reader.close()
    assert reader._timer is not None
    assert reader._timer.cancelled()


async def test_peeking_does_not_take() -> None:
    log = TurnLog()
    reader = log.reader()
    assert await reader.peek(10) is None
    log.append(TURN[0])
    log.append(TURN[1])
    assert await reader.peek(10) == TURN[0]
    assert await reader.take() == TURN[:2]


async def test_a_reader_that_goes_away_leaves_nothing_behind_and_disturbs_nobody() -> None:
    log = TurnLog()
    gone, stays = (asyncio.create_task(whole(log.reader())) for _ in range(2))
    await asyncio.sleep(1)
    gone.cancel()
    await asyncio.sleep(1)
    assert len(log._waiting) == 1
    await write(log, 1)
    assert await stays == TURN
    assert log._waiting == []


@pytest.mark.parametrize("end", [Ended(), Failed(Failure(FailureCode.AGENT_ERROR, Delivery.YES))])
async def test_nothing_follows_the_end(end: TurnEvent) -> None:
    log = TurnLog()
    assert not log.ended
    log.append(end)
    log.append(Text("too late"))
    assert log.ended
    assert log.events == [end]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pauses=st.lists(st.floats(0, 5), min_size=1, max_size=30),
    readers=st.lists(st.tuples(st.floats(0, 20), st.floats(0, 5), st.none() | st.floats(0.1, 5)), max_size=5),
)
async def test_every_reader_sees_every_event_once_and_in_order(
    pauses: list[float], readers: list[tuple[float, float, float | None]]
) -> None:
    log = TurnLog()
    events: list[TurnEvent] = [*(Text(str(number)) for number, _ in enumerate(pauses)), Ended()]
    clock = asyncio.get_running_loop().time

    async def read(start: float, rest: float, patience: float | None) -> list[TurnEvent]:
        await asyncio.sleep(start)
        reader = log.reader()
        seen: list[TurnEvent] = []
        while not reader.finished:
            seen += await reader.take(math.inf if patience is None else clock() + patience)
            await asyncio.sleep(rest)
        return seen

    reading = [asyncio.create_task(read(*each)) for each in readers]
    for pause, event in zip([*pauses, 0.0], events, strict=True):
        await asyncio.sleep(pause)
        log.append(event)
    assert await asyncio.gather(*reading) == [events] * len(readers)
