"""Tickets in the database. Those of dead processes are skipped. Whoever leaves a lane notifies those who wait in it."""

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from adapters.sql import turn_statements
from adapters.sql.group_commit import Change
from adapters.sql.state import State
from adapters.sql.turn_row import row_of
from domain.model.failures import FailureError
from domain.model.lane import LaneKey, lane_of, name_of
from domain.model.turn_record import TurnRecord
from ports.lane_tickets import Ticket
from ports.notices import Notices
from ports.process_locks import ProcessLiveness, ProcessLocks

# Seconds between looks at whether other processes live, and at whether a notice was lost; and between tries to leave.
_LOOK_EVERY = 1.0
_TRY_EVERY = 1.0
_TOPIC = "lane "

T = TypeVar("T")

logger = logging.getLogger(__name__)


class SqlLaneTickets:
    """`ports.LaneTickets`. `locks` say which processes live: each holds one while it has tickets."""

    def __init__(self, state: State, locks: ProcessLocks, liveness: ProcessLiveness, notices: Notices) -> None:
        self._state = state
        self._locks = locks
        self._liveness = liveness
        self._notices = notices
        self._holder = f"tickets {secrets.token_hex(8)}"
        self._enqueuing = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        # Those who wait here, by the topic of their lane.
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    async def enqueue(self, lane: LaneKey, key: str, record: TurnRecord | None = None) -> Ticket:
        ticket = Ticket(secrets.token_hex(8), lane)
        # Before its turn, a record has no texts.
        row = None if record is None else {**row_of(key, record, with_texts=False), "now": time.time()}
        # Tickets are in the order in which they were asked for: the change is wanted before the next one comes here.
        async with self._enqueuing:
            if self._watching is None:
                await self._start()
            database = await self._state.database()
            await database.ready()
        try:
            entered = await database.carry_out(turn_statements.enter({**self._values(ticket), "key": key}, row))
        except BaseException:
            # Whether it was written, nobody knows.
            self.release(ticket, carried_out=False)
            raise
        return msgspec.structs.replace(ticket, **msgspec.structs.asdict(entered))

    async def wait(self, ticket: Ticket) -> bool:
        if not ticket.after_others:
            return ticket.after_crash
        values, topic, woken = self._values(ticket), _topic_of(ticket.lane), asyncio.Event()
        self._waiting.setdefault(topic, set()).add(woken)
        try:
            while await self._carry_out(turn_statements.others_before(values)):
                await woken.wait()
                woken.clear()
            return ticket.after_crash or await self._carry_out(turn_statements.crashed_before(values))
        finally:
            self._waiting[topic].discard(woken)
            if not self._waiting[topic]:
                del self._waiting[topic]

    def release(self, ticket: Ticket, carried_out: bool) -> None:
        leaving = asyncio.create_task(self._leave(ticket, carried_out))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def has_waiter(self, lane: LaneKey, key: str) -> bool:
        return await self._carry_out(turn_statements.has_waiter(name_of(lane), key, self._holder))

    async def remote_lengths(self) -> Mapping[LaneKey, int]:
        if not self._state.exists():
            return {}
        found = await self._carry_out(turn_statements.remote_lengths(self._holder))
        return {lane_of(lane): count for lane, count in found}

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=2 * _TRY_EVERY)
            for leaving in self._leaving:
                leaving.cancel()

    async def _start(self) -> None:
        await self._locks.acquire(self._holder)
        await self._look()
        self._notices.listen(self._heard)
        self._watching = asyncio.create_task(self._watch())

    def _heard(self, topic: str) -> None:
        for woken in self._waiting.get(topic, ()):
            woken.set()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            try:
                await self._look()
            except FailureError as error:
                logger.debug("Whether other processes live cannot be seen: %s", error)
            # A notice may have been lost.
            for topic in self._waiting:
                self._heard(topic)

    async def _look(self) -> None:
        """Mark the tickets of processes that have died."""
        for (holder,) in await self._carry_out(turn_statements.other_holders(self._holder)):
            if await self._liveness.is_dead(holder):
                logger.warning("A process has died in the middle of a turn, or while turns waited there")
                await self._carry_out(turn_statements.mark_crashed(holder))

    async def _leave(self, ticket: Ticket, carried_out: bool) -> None:
        """Others would wait for it for as long as this process lives."""
        values = self._values(ticket)
        # Where a ticket was the only one, none of a process that has died can be before it.
        delete_crashed = carried_out and (ticket.after_others or ticket.after_crash)
        while True:
            try:
                if await self._carry_out(turn_statements.leave(values, delete_crashed)):
                    self._notices.tell(_topic_of(ticket.lane))
            except FailureError as error:
                logger.warning("A turn is over, and other processes cannot be told yet: %s", error)
                await asyncio.sleep(_TRY_EVERY)
            else:
                return

    async def _carry_out(self, change: Change[T]) -> T:
        return await (await self._state.database()).carry_out(change)

    def _values(self, ticket: Ticket) -> Mapping[str, object]:
        return {"id": ticket.id, "lane": name_of(ticket.lane), "number": ticket.number, "holder": self._holder}


def _topic_of(lane: LaneKey) -> str:
    return _TOPIC + hashlib.sha256(name_of(lane).encode("utf-8", "surrogatepass")).hexdigest()[:16]
