"""Where turns wait for their time: one after the other in each conversation, in this process and among all of them."""

from collections.abc import Mapping

import msgspec

from domain.model.failures import FailureError
from domain.model.lane import LocalLaneKey
from domain.model.turn import TurnRequest
from domain.model.turn_record import TurnRecord
from domain.services.lanes import Lanes, Place
from ports.lane_tickets import LaneTickets, Ticket


class TurnStart(msgspec.Struct, frozen=True):
    """What is known when it is a turn's time."""

    after_crash: bool = False
    """A process has crashed in the middle of a turn before this one, which may still be running on the backend."""
    claimed: TurnRecord | None = None
    """The record of the turn, if it was claimed when the turn was enqueued."""


class QueuePlace:
    """The place of one turn. It has to be left, whether its time ever came or not."""

    def __init__(
        self, request: TurnRequest, key: str, lanes: Lanes, place: Place, tickets: LaneTickets | None, max_waiting: int
    ) -> None:
        self._lane = request.lane
        self._key = key
        self._lanes = lanes
        self._place = place
        self._tickets = tickets
        self._max_waiting = max_waiting
        self._ticket: Ticket | None = None
        self._may_be_claimed = False

    @property
    def may_be_claimed(self) -> bool:
        """Whether the record that `wait` was given may have been claimed."""
        return self._may_be_claimed

    async def wait(self, record: TurnRecord | None) -> TurnStart:
        """Return when it is this turn's time. `record`: to be claimed, if that can be done on the way.

        Raises `FailureError` (`turn_queue_full`, `state_unavailable`)."""
        if self._tickets is None:
            await self._place.wait()
            return TurnStart()
        self._may_be_claimed = record is not None
        self._ticket = ticket = await self._tickets.enqueue(self._lane, self._key, record)
        self._may_be_claimed = ticket.is_claimed
        if ticket.before > self._max_waiting:
            cause = f"{ticket.before} turns are in this conversation"
            raise self._lanes.full(self._lane, cause, ticket.before)
        await self._place.wait()
        return TurnStart(await self._tickets.wait(ticket), record if ticket.is_claimed else None)

    async def has_remote_waiter(self) -> bool:
        """Whether a retry of this turn waits in another process. Nobody is thought to wait while that is unknown."""
        try:
            return self._tickets is not None and await self._tickets.has_waiter(self._lane, self._key)
        except FailureError:
            return False

    def waits_behind(self) -> int:
        """How many turns are before it, as far as is known here."""
        return self._place.waits_behind() or (self._ticket.before if self._ticket is not None else 0)

    def come_back_after(self) -> int:
        """Seconds after which all that are in this conversation now have probably had their turn."""
        return self._lanes.come_back_after(self._lane)

    def leave(self, carried_out: bool) -> None:
        """Make way for the next turn. `carried_out`: this one was delivered, or was tried to be."""
        if self._tickets is not None and self._ticket is not None:
            self._tickets.release(self._ticket, carried_out)
        self._place.leave(carried_out)


class TurnQueue:
    """`tickets` is None for a process that is alone. `max_waiting`: turns in one conversation, among all processes."""

    def __init__(self, lanes: Lanes, tickets: LaneTickets | None, max_waiting: int) -> None:
        self._lanes = lanes
        self._tickets = tickets
        self._max_waiting = max_waiting
        self._ephemeral_turns = 0

    def enter(self, request: TurnRequest, key: str) -> QueuePlace:
        """The last place of the request's conversation. `key` is what a retry of it is known by in the state.

        Raises `FailureError` (`turn_queue_full`)."""
        lane: LocalLaneKey = request.lane
        tickets = self._tickets
        if request.ephemeral:
            # A lane of its own: it waits for nobody, and nobody waits for it.
            self._ephemeral_turns += 1
            lane, tickets = (request.agent.key, self._ephemeral_turns), None
        return QueuePlace(request, key, self._lanes, self._lanes.enter(lane), tickets, self._max_waiting)

    async def lengths(self) -> Mapping[LocalLaneKey, int]:
        """Of each conversation in which a turn is running: how many wait behind it, in whichever process.

        Raises `FailureError`."""
        lengths = {**self._lanes.lengths()}
        if self._tickets is not None:
            for lane, others in (await self._tickets.remote_lengths()).items():
                # One of all turns in a lane is not waiting.
                lengths[lane] = lengths.get(lane, -1) + others
        return lengths
