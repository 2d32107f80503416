"""Tickets in the database. Those of dead processes are skipped; whoever waits looks from time to time."""

import asyncio
import logging
import secrets
from collections.abc import Mapping

from sqlalchemy import Select, bindparam, func, select

from adapters.sql.schema import tickets
from adapters.sql.state import State
from domain.model.failures import FailureError
from domain.model.lane import LaneKey, lane_of, name_of
from ports.lane_tickets import Ticket
from ports.process_locks import ProcessLiveness, ProcessLocks

# Seconds between looks at who is first: they grow from the first to the longest.
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.2
# Seconds between looks at whether other processes are still alive, and between tries to hand in a ticket.
_LOOK_EVERY = 1.0
_TRY_EVERY = 1.0

# Built once: that takes longer than to execute them.
_INSERT = tickets.insert().returning(tickets.c.number)
_IN_LANE = select(tickets.c.holder, tickets.c.crashed).where(tickets.c.lane == bindparam("lane"))
_HEAD = (
    select(tickets.c.id)
    .where(
        tickets.c.lane == bindparam("lane"),
        tickets.c.number < bindparam("number"),
        tickets.c.holder != bindparam("holder"),
        tickets.c.crashed.is_(False),
    )
    .limit(1)
)
_DEAD = (tickets.c.lane == bindparam("lane")) & (tickets.c.number < bindparam("number")) & tickets.c.crashed
_A_DEAD_ONE = select(tickets.c.id).where(_DEAD).limit(1)
_DELETE_DEAD = tickets.delete().where(_DEAD)
_HOLDERS = select(tickets.c.holder).where(tickets.c.crashed.is_(False)).distinct()
_BURY = tickets.update().where(tickets.c.holder == bindparam("sought")).values(crashed=True)
_DELETE = tickets.delete().where(tickets.c.id == bindparam("sought"))

logger = logging.getLogger(__name__)


class SqlLaneTickets:
    """`ports.LaneTickets`. `locks` say which processes live: each holds one while it has tickets."""

    def __init__(self, state: State, locks: ProcessLocks, liveness: ProcessLiveness) -> None:
        self._state = state
        self._locks = locks
        self._liveness = liveness
        self._holder = f"tickets {secrets.token_hex(8)}"
        self._enqueuing = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        # To be handed in, and whether it was carried out.
        self._left: dict[Ticket, bool] = {}
        self._releasing: asyncio.Task[None] | None = None

    async def enqueue(self, lane: LaneKey, key: str) -> Ticket:
        # One after the other: tickets are in the order in which they were asked for.
        async with self._enqueuing:
            if self._watching is None:
                await self._locks.acquire(self._holder)
                await self._look()
                self._watching = asyncio.create_task(self._watch())
            ticket = Ticket(secrets.token_hex(8), lane)
            try:
                return await self._insert(ticket, key)
            except BaseException:
                # Whether it was written, nobody knows.
                self.release(ticket, carried_out=False)
                raise

    async def wait(self, ticket: Ticket) -> bool:
        if not ticket.after_others:
            return ticket.after_crash
        before = {"lane": name_of(ticket.lane), "number": ticket.number, "holder": self._holder}
        pause = _FIRST_PAUSE
        while await self._finds(_HEAD, before):
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE)
        return ticket.after_crash or await self._finds(_A_DEAD_ONE, before)

    def release(self, ticket: Ticket, carried_out: bool) -> None:
        self._left[ticket] = carried_out
        if self._releasing is None or self._releasing.done():
            self._releasing = asyncio.create_task(self._hand_in())

    async def has_waiter(self, lane: LaneKey, key: str) -> bool:
        same = select(tickets.c.id).where(
            tickets.c.lane == name_of(lane),
            tickets.c.key == key,
            tickets.c.holder != self._holder,
            tickets.c.crashed.is_(False),
        )
        async with (await self._state.database()).reading() as connection:
            return await connection.scalar(same.limit(1)) is not None

    async def remote_lengths(self) -> Mapping[LaneKey, int]:
        if not self._state.exists():
            return {}
        others = select(tickets.c.lane, func.count()).where(
            tickets.c.holder != self._holder, tickets.c.crashed.is_(False)
        )
        async with (await self._state.database()).reading() as connection:
            found = await connection.execute(others.group_by(tickets.c.lane))
            return {lane_of(lane): count for lane, count in found}

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        if self._releasing is not None:
            await asyncio.wait([self._releasing], timeout=2 * _TRY_EVERY)
            self._releasing.cancel()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            try:
                await self._look()
            except FailureError as error:
                logger.debug("Whether other processes live cannot be seen: %s", error)

    async def _look(self) -> None:
        """Mark the tickets of processes that have died."""
        database = await self._state.database()
        async with database.reading() as connection:
            holders = (await connection.scalars(_HOLDERS)).all()
        for holder in holders:
            if holder != self._holder and await self._liveness.is_dead(holder):
                logger.warning("A process has died in the middle of a turn, or while turns waited there")
                async with database.transaction() as connection:
                    await connection.execute(_BURY, {"sought": holder})

    async def _insert(self, ticket: Ticket, key: str) -> Ticket:
        database, lane = await self._state.database(), name_of(ticket.lane)
        row = {"id": ticket.id, "lane": lane, "key": key, "holder": self._holder, "crashed": False}
        async with database.transaction() as connection:
            # So that of two tickets of one lane the higher number is never seen before the lower one.
            await database.hold(connection, f"lane {lane}")
            before = (await connection.execute(_IN_LANE, {"lane": lane})).all()
            number = await connection.scalar(_INSERT, row)
        assert number is not None  # noqa: S101
        holders = [holder for holder, dead in before if not dead]
        return Ticket(
            ticket.id,
            ticket.lane,
            number,
            len(holders),
            after_others=any(holder != self._holder for holder in holders),
            after_crash=len(holders) < len(before),
        )

    async def _finds(self, question: Select[tuple[str]], asked: Mapping[str, object]) -> bool:
        async with (await self._state.database()).reading() as connection:
            return (await connection.execute(question, asked)).first() is not None

    async def _hand_in(self) -> None:
        """Others would wait for them for as long as this process lives."""
        while self._left:
            ticket, carried_out = next(iter(self._left.items()))
            try:
                async with (await self._state.database()).transaction() as connection:
                    await connection.execute(_DELETE, {"sought": ticket.id})
                    if carried_out:
                        before = {"lane": name_of(ticket.lane), "number": ticket.number}
                        await connection.execute(_DELETE_DEAD, before)
            except FailureError as error:
                logger.warning("Turns are over, and others cannot be told: %s", error)
                await asyncio.sleep(_TRY_EVERY)
            else:
                del self._left[ticket]
