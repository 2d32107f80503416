"""The tickets: in databases, and the fake of the domain's tests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from adapters.memory.process_locks import MemoryLocks
from adapters.memory.turn_store import MemoryTurnStore
from adapters.sql import lane_tickets
from adapters.sql.lane_tickets import SqlLaneTickets
from adapters.sql.lazy_stores import lazy_turn_store
from adapters.sql.locks import PostgresLocks
from adapters.sql.notices import PostgresNotices
from adapters.sql.state import State
from domain.model.failure_table import FailureCode
from domain.model.failures import FailureError
from domain.services.liveness import Liveness
from ports.lane_tickets import LaneTickets
from ports.turn_store import TurnStore
from tests.contract.lane_tickets import LANE, ClaimingLaneTicketsContract, SharedLaneTicketsContract
from tests.fakes.tickets import TicketBoard
from tests.postgres.server import PostgresServer

pytestmark = pytest.mark.anyio


class NoNotices:
    """`ports.Notices` that are all lost."""

    def tell(self, topic: str) -> None:
        pass

    def listen(self, heard: Callable[[str], None]) -> None:
        pass

    async def close(self) -> None:
        pass


class TestFake(SharedLaneTicketsContract, ClaimingLaneTicketsContract):
    @pytest.fixture
    def board(self) -> TicketBoard:
        return TicketBoard()

    @pytest.fixture
    def turns(self) -> TurnStore:
        return MemoryTurnStore()

    @pytest.fixture
    def one(self, board: TicketBoard, turns: TurnStore) -> LaneTickets:
        return board.of("one", turns)

    @pytest.fixture
    def other(self, board: TicketBoard, turns: TurnStore) -> LaneTickets:
        return board.of("other", turns)


class TestSqlite(SharedLaneTicketsContract, ClaimingLaneTicketsContract):
    @pytest.fixture
    async def turns(self, file: Path) -> AsyncIterator[TurnStore]:
        async for turns in turns_of(f"sqlite:///{file}"):
            yield turns

    @pytest.fixture
    def locks(self) -> MemoryLocks:
        # As if they were another process's: those of files are held by whole processes.
        return MemoryLocks()

    @pytest.fixture
    async def one(self, file: Path, locks: MemoryLocks) -> AsyncIterator[SqlLaneTickets]:
        async for tickets in tickets_of(f"sqlite:///{file}", locks):
            yield tickets

    @pytest.fixture
    async def other(self, file: Path, locks: MemoryLocks) -> AsyncIterator[SqlLaneTickets]:
        async for tickets in tickets_of(f"sqlite:///{file}", locks):
            yield tickets

    async def test_the_dead_are_passed_by(self, one: SqlLaneTickets, other: SqlLaneTickets, locks: MemoryLocks) -> None:
        for key in ("a", "b"):
            await one.enqueue(LANE, key)
        ticket = await other.enqueue(LANE, "c")
        waiting = asyncio.create_task(other.wait(ticket))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await locks.release(one._holder)
        async with asyncio.timeout(5):
            assert await waiting
        other.release(ticket, carried_out=True)
        await asyncio.sleep(0.5)
        assert not await other.wait(await other.enqueue(LANE, "d"))

    async def test_the_dead_are_not_counted(
        self, one: SqlLaneTickets, other: SqlLaneTickets, locks: MemoryLocks
    ) -> None:
        for key in ("a", "b"):
            await one.enqueue(LANE, key)
        await locks.release(one._holder)
        # A process that has just started looks before it enqueues.
        ticket = await other.enqueue(LANE, "c")
        assert (ticket.before, ticket.after_others, ticket.after_crash) == (0, False, True)
        assert await other.wait(ticket)
        # Whoever gives up has not seen to it that nothing of theirs goes on.
        other.release(ticket, carried_out=False)
        ticket = await other.enqueue(LANE, "d")
        assert ticket.after_crash
        other.release(ticket, carried_out=True)
        await asyncio.sleep(0.5)
        assert not (await other.enqueue(LANE, "e")).after_crash

    async def test_a_ticket_is_handed_in_when_the_state_can_be_written_again(
        self, one: SqlLaneTickets, other: SqlLaneTickets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ticket = await one.enqueue(LANE, "a")

        async def broken(*_: object) -> None:
            raise_unavailable()

        with monkeypatch.context() as patch:
            patch.setattr(one._state, "database", broken)
            one.release(ticket, carried_out=True)
            await asyncio.sleep(0.1)
        async with asyncio.timeout(5):
            assert not await other.wait(await other.enqueue(LANE, "b"))


class TestPostgresql(SharedLaneTicketsContract, ClaimingLaneTicketsContract):
    @pytest.fixture
    async def turns(self, url: str) -> AsyncIterator[TurnStore]:
        async for turns in turns_of(url):
            yield turns

    async def test_who_waits_is_woken_by_a_notice(
        self, one: SqlLaneTickets, other: SqlLaneTickets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Nobody looks without one.
        monkeypatch.setattr(lane_tickets, "_LOOK_EVERY", 600.0)
        first, second = await one.enqueue(LANE, "a"), await other.enqueue(LANE, "b")
        # Until both listen.
        await asyncio.sleep(1)
        waiting = asyncio.create_task(other.wait(second))
        await asyncio.sleep(0.2)
        one.release(first, carried_out=True)
        async with asyncio.timeout(20):
            assert not await waiting

    @pytest.fixture
    def url(self, postgres: PostgresServer) -> str:
        return postgres.new_database()

    @pytest.fixture
    async def one(self, url: str) -> AsyncIterator[SqlLaneTickets]:
        async for tickets in tickets_of(url, PostgresLocks(url)):
            yield tickets

    @pytest.fixture
    async def other(self, url: str) -> AsyncIterator[SqlLaneTickets]:
        async for tickets in tickets_of(url, PostgresLocks(url)):
            yield tickets

    async def test_the_dead_are_passed_by(self, one: SqlLaneTickets, other: SqlLaneTickets) -> None:
        await one.enqueue(LANE, "a")
        waiting = asyncio.create_task(other.wait(await other.enqueue(LANE, "b")))
        await one._locks.close()
        async with asyncio.timeout(30):
            assert await waiting


async def turns_of(url: str) -> AsyncIterator[TurnStore]:
    state = State(url, shared=True)
    yield lazy_turn_store(state, 60.0)
    await state.close()


async def tickets_of(url: str, locks: MemoryLocks | PostgresLocks) -> AsyncIterator[SqlLaneTickets]:
    state = State(url, shared=True)
    notices = PostgresNotices(url, state) if url.startswith("postgresql") else NoNotices()
    tickets = SqlLaneTickets(state, locks, Liveness(locks), notices)
    yield tickets
    await tickets.close()
    await notices.close()
    await locks.close()
    await state.close()


def raise_unavailable() -> None:
    from domain.model.failures import Delivery, Failure

    raise FailureError(Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO))


async def test_a_state_that_cannot_be_reached(tmp_path: Path) -> None:
    async for tickets in tickets_of(f"sqlite:///{tmp_path / 'nowhere' / 'state.sqlite'}", MemoryLocks()):
        with pytest.raises(FailureError) as raised:
            await tickets.enqueue(LANE, "key")
        assert raised.value.failure.code is FailureCode.STATE_UNAVAILABLE
