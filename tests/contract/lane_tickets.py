"""What tickets must do: of one process, and of two. Subclass them with the fixtures `one`, and `other`."""

import asyncio

import pytest

from domain.model.lane import LaneKey, name_of
from ports.lane_tickets import LaneTickets
from ports.turn_store import TurnStore
from tests.contract.turn_store import a_record

LANE: LaneKey = ("agent-1", "groceries \U0001f600")
DEFAULT: LaneKey = ("agent-1", None)


class LaneTicketsContract:
    """One process is never in its own way."""

    async def test_nobody_waits_for_oneself(self, one: LaneTickets) -> None:
        async with asyncio.timeout(5):
            tickets = [await one.enqueue(LANE, f"key {number}") for number in range(3)]
            for ticket in tickets:
                assert not await one.wait(ticket)
                one.release(ticket, carried_out=True)

    async def test_nothing_of_ones_own_is_elsewhere(self, one: LaneTickets) -> None:
        ticket = await one.enqueue(LANE, "key")
        assert await one.remote_lengths() == {}
        assert not await one.has_waiter(LANE, "key")
        one.release(ticket, carried_out=True)


class SharedLaneTicketsContract(LaneTicketsContract):
    """Two processes stand in one queue before each conversation."""

    async def test_who_was_first_is_waited_for(self, one: LaneTickets, other: LaneTickets) -> None:
        first, second = await one.enqueue(LANE, "a"), await other.enqueue(LANE, "b")
        third = await one.enqueue(LANE, "c")
        assert [ticket.before for ticket in (first, second, third)] == [0, 1, 2]
        assert not await one.wait(first)
        waiting = asyncio.create_task(other.wait(second))
        last = asyncio.create_task(one.wait(third))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        one.release(first, carried_out=True)
        async with asyncio.timeout(5):
            assert not await waiting
        await asyncio.sleep(0.5)
        assert not last.done()
        other.release(second, carried_out=True)
        async with asyncio.timeout(5):
            assert not await last
        one.release(third, carried_out=True)

    async def test_lanes_do_not_wait_for_each_other(self, one: LaneTickets, other: LaneTickets) -> None:
        for lane in (LANE, DEFAULT, ("agent-2", LANE[1]), ("agent-2", None)):
            await one.enqueue(lane, "key")
        async with asyncio.timeout(5):
            assert not await other.wait(await other.enqueue(("agent-3", None), "key"))

    async def test_who_gives_up_is_not_waited_for(self, one: LaneTickets, other: LaneTickets) -> None:
        first, second = await one.enqueue(LANE, "a"), await other.enqueue(LANE, "b")
        third = await one.enqueue(LANE, "c")
        giving_up = asyncio.create_task(other.wait(second))
        await asyncio.sleep(0.1)
        giving_up.cancel()
        other.release(second, carried_out=True)
        one.release(first, carried_out=True)
        async with asyncio.timeout(5):
            assert not await one.wait(third)

    async def test_drawing_can_be_given_up(self, one: LaneTickets, other: LaneTickets) -> None:
        for delay in (0, 0.001, 0.003, 0.01):
            enqueuing = asyncio.create_task(one.enqueue(LANE, "a"))
            await asyncio.sleep(delay)
            if enqueuing.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await enqueuing
            else:
                one.release(await enqueuing, carried_out=True)
        async with asyncio.timeout(5):
            assert not await other.wait(await other.enqueue(LANE, "b"))

    async def test_all_at_once_are_in_one_order(self, one: LaneTickets, other: LaneTickets) -> None:
        begun: list[int] = []
        at_once = 0

        async def take_turns(process: LaneTickets) -> None:
            nonlocal at_once
            # Each process keeps its own ones in order, as lanes do.
            for ticket in await asyncio.gather(*(process.enqueue(LANE, "key") for _ in range(5))):
                await process.wait(ticket)
                at_once += 1
                assert at_once == 1
                begun.append(ticket.number)
                await asyncio.sleep(0.01)
                at_once -= 1
                process.release(ticket, carried_out=True)

        async with asyncio.timeout(30):
            await asyncio.gather(take_turns(one), take_turns(other))
        assert begun == sorted(begun)
        assert len(begun) == 10

    async def test_a_retry_elsewhere_is_seen(self, one: LaneTickets, other: LaneTickets) -> None:
        await one.enqueue(LANE, "key")
        assert not await one.has_waiter(LANE, "key")
        ticket = await other.enqueue(LANE, "key")
        assert await one.has_waiter(LANE, "key")
        assert not await one.has_waiter(LANE, "another key")
        assert not await one.has_waiter(DEFAULT, "key")
        other.release(ticket, carried_out=True)
        await asyncio.sleep(0.5)
        assert not await one.has_waiter(LANE, "key")

    async def test_what_is_elsewhere_is_counted(self, one: LaneTickets, other: LaneTickets) -> None:
        await one.enqueue(LANE, "a")
        for lane in (LANE, LANE, DEFAULT):
            await other.enqueue(lane, "b")
        assert await one.remote_lengths() == {LANE: 2, DEFAULT: 1}
        assert await other.remote_lengths() == {LANE: 1}


class ClaimingLaneTicketsContract:
    """Of `one` and `other` process, and `turns`, where records are."""

    async def test_who_is_first_claims_its_record_at_once(
        self, one: LaneTickets, other: LaneTickets, turns: TurnStore
    ) -> None:
        record = a_record(lane=name_of(LANE))
        assert (await one.enqueue(LANE, "key", record)).is_claimed
        assert await turns.claim("key", a_record(delivery_id="another")) == record
        assert not (await other.enqueue(LANE, "other key", a_record())).is_claimed
        assert not (await one.enqueue(LANE, "third key", a_record())).is_claimed
        assert await turns.claim("other key", a_record()) is None

    async def test_a_record_that_is_there_stays(self, one: LaneTickets, turns: TurnStore) -> None:
        record = a_record()
        await turns.claim("key", record)
        assert not (await one.enqueue(LANE, "key", a_record(delivery_id="another"))).is_claimed
        assert await turns.claim("key", a_record(delivery_id="another")) == record

    async def test_without_a_record_nothing_is_claimed(self, one: LaneTickets, turns: TurnStore) -> None:
        assert not (await one.enqueue(LANE, "key")).is_claimed
        assert await turns.claim("key", a_record()) is None
