"""Tickets for a process that is alone: there is nobody to wait for."""

from collections.abc import Mapping

from domain.model.lane import LaneKey
from ports.lane_tickets import Ticket


class MemoryLaneTickets:
    """`ports.LaneTickets`."""

    async def enqueue(self, lane: LaneKey, key: str) -> Ticket:
        return Ticket("", lane)

    async def wait(self, ticket: Ticket) -> bool:
        return False

    def release(self, ticket: Ticket, carried_out: bool) -> None:
        pass

    async def has_waiter(self, lane: LaneKey, key: str) -> bool:
        return False

    async def remote_lengths(self) -> Mapping[LaneKey, int]:
        return {}

    async def close(self) -> None:
        pass
