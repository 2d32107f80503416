"""Tickets of several processes that are all in this one; any of them can die."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Mapping

from domain.model.failures import FailureError
from domain.model.lane import LaneKey
from domain.model.turn_record import TurnRecord
from ports.lane_tickets import Ticket
from ports.turn_store import TurnStore
from tests.fakes.turn_store import BROKEN


class TicketBoard:
    """What all of them see: (ticket, key, holder), oldest first."""

    def __init__(self) -> None:
        self.tickets: list[tuple[Ticket, str, str]] = []
        self.dead: set[str] = set()
        self.numbers = itertools.count(1)

    def of(self, holder: str, turns: TurnStore | None = None) -> "FakeLaneTickets":
        return FakeLaneTickets(self, holder, turns)


class FakeLaneTickets:
    """`ports.LaneTickets` of the process `holder`. `broken`: it cannot reach the state; `looks_for`: seconds that it
    takes to see who is has_waiter. `turns`: where records are claimed on the way."""

    def __init__(self, board: TicketBoard, holder: str, turns: TurnStore | None = None) -> None:
        self.broken = False
        self.looks_for = 0.0
        self._board = board
        self._holder = holder
        self._turns = turns

    async def enqueue(self, lane: LaneKey, key: str, record: TurnRecord | None = None) -> Ticket:
        if self.broken:
            raise FailureError(BROKEN)
        holders = [holder for ticket, _, holder in self._board.tickets if ticket.lane == lane]
        number = next(self._board.numbers)
        of_others = any(holder != self._holder for holder in holders)
        is_claimed = False
        if record is not None and not holders and self._turns is not None:
            is_claimed = await self._turns.claim(key, record) is None
        ticket = Ticket(str(number), lane, number, len(holders), of_others, is_claimed=is_claimed)
        self._board.tickets.append((ticket, key, self._holder))
        return ticket

    async def wait(self, ticket: Ticket) -> bool:
        died = False
        while heads := [
            (other, holder)
            for other, _, holder in self._board.tickets
            if other.lane == ticket.lane and other.number < ticket.number and holder != self._holder
        ]:
            head, holder = heads[0]
            if holder in self._board.dead:
                self._remove(head)
                died = True
            else:
                await asyncio.sleep(0.1)
        return died

    def release(self, ticket: Ticket, carried_out: bool) -> None:
        if self._holder not in self._board.dead:
            self._remove(ticket)

    async def has_waiter(self, lane: LaneKey, key: str) -> bool:
        await asyncio.sleep(self.looks_for)
        return any(
            (ticket.lane, found) == (lane, key) and holder != self._holder
            for ticket, found, holder in self._board.tickets
        )

    async def remote_lengths(self) -> Mapping[LaneKey, int]:
        return Counter(ticket.lane for ticket, _, holder in self._board.tickets if holder != self._holder)

    async def close(self) -> None:
        pass

    def _remove(self, ticket: Ticket) -> None:
        self._board.tickets = [entry for entry in self._board.tickets if entry[0] != ticket]
