"""The order of turns in each lane, among all processes that share the state. tests/contract states what it must do."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from domain.model.lane import LaneKey
from domain.model.turn_record import TurnRecord


class Ticket(msgspec.Struct, frozen=True):
    """A place in a lane."""

    id: str
    lane: LaneKey
    number: int = 0
    before: int = 0
    """How many turns were there already, of all processes."""
    after_others: bool = False
    """Whether some of them were other processes'."""
    after_crash: bool = False
    """Whether some of them were of processes that have died."""
    is_claimed: bool = False
    """Whether the record that came with it was claimed."""


class LaneTickets(Protocol):
    """Tickets of one process are in the order in which it enqueues them; it sees to that order itself.

    Every method but `release` raises `FailureError` (`state_unavailable`, nothing delivered)."""

    async def enqueue(self, lane: LaneKey, key: str, record: TurnRecord | None = None) -> Ticket:
        """The last place of that lane. `key` is what a retry of the turn would be known by.

        If nobody is before it, `record` is claimed under that key in the same transaction, as `TurnStore.claim` does,
        so that a turn begins with one write. A store that cannot do that claims nothing."""
        ...

    async def wait(self, ticket: Ticket) -> bool:
        """Return when no other process's turn is before this one: whether any of those processes has died."""
        ...

    def release(self, ticket: Ticket, carried_out: bool) -> None:
        """Make way, as soon as the state can be written. `carried_out`: this turn was, so that those that have died
        before it concern nobody any more."""
        ...

    async def has_waiter(self, lane: LaneKey, key: str) -> bool:
        """Whether a turn of that key waits in another process."""
        ...

    async def remote_lengths(self) -> Mapping[LaneKey, int]:
        """How many turns are in each lane that are other processes'."""
        ...

    async def close(self) -> None:
        """Hand in what there is."""
        ...
