"""One turn in this process, from its request on: its log, who reads it, and how far its delivery has come."""

import asyncio
from collections.abc import Sequence

import msgspec

from domain.model.answer_text import BLANK_LINE
from domain.model.events import Accepted, Ended, Text, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.identity import Identity
from domain.model.turn import Turn, TurnRequest, UserMessage
from domain.model.turn_record import History
from domain.services.record_writer import RecordWriter
from domain.services.turn_log import TurnLog

_FORGOTTEN = UserMessage("")
_INTERRUPTED = "(This answer was interrupted here.)"


class LiveTurn:
    """What the services around turns know of one of them. Times are the event loop's, in seconds.

    `answered`: some client got the whole answer. `must_finish`: a plain request asked for it and went away.
    `stopping`: why it is being stopped. `kept`: of a stopped turn, what the agent remembers.
    `predecessor`: the stopped turn of the same request, whose fate decides what this one does. `served`: the highest
    retry count of a request that reads it. `replayed`: what it says was said to an earlier request, in another process.
    `delivery_id`, `deduplicated`: those of its `Turn`. `said`: before it, where other processes may know more.
    `notes`: what is written down of it. `after_crash`: a process has died whose turn was before this one, and may still
    be running on the backend. `recall_only`: nothing is to be sent any more; what an earlier attempt has sent, perhaps,
    is still looked for, so that it can be stopped."""

    def __init__(self, request: TurnRequest, identity: Identity, predecessor: "LiveTurn | None" = None) -> None:
        self.request = request
        self.identity = identity
        self.predecessor = predecessor
        self.log = TurnLog()
        self.readers = 0
        self.answered = False
        self.must_finish = False
        self.left_at = 0.0
        self.attempting = False
        self.stopping: FailureCode | None = None
        self.kept: Sequence[TurnEvent] = ()
        self.turn: Turn | None = None
        self.run_id: str | None = None
        self.run_began = 0
        self.served = -1
        self.replayed = False
        self.notes: RecordWriter | None = None
        self.after_crash = False
        self.said: History | None = None
        self.delivery_id: str | None = None
        self.deduplicated = False
        self.recall_only = False
        self.task: asyncio.Task[None] | None = None
        self._accepted = False
        self._acceptance: asyncio.Future[None] | None = None

    @property
    def delivery(self) -> Delivery:
        """Whether the agent may remember the message. Before the first event of a delivery nobody knows."""
        if not self.attempting:
            return Delivery.NO
        return Delivery.YES if self._accepted else Delivery.UNKNOWN

    def attempt(self, turn: Turn) -> None:
        """A delivery begins. Raises `FailureError` if nobody wants it any more."""
        if self.stopping is not None:
            raise FailureError(Failure(self.stopping, Delivery.NO, "the turn was stopped while it waited"))
        if not self.readers:
            raise FailureError(Failure(FailureCode.CANCELLED, Delivery.NO, "the client hung up while the turn waited"))
        self.turn = turn
        self.attempting = True

    def accepted(self, run_id: str | None) -> None:
        """The backend has taken the message; the log holds its `Accepted` already."""
        self.run_began = len(self.log.events)
        self._accepted = True
        self._named(run_id)

    def found(self, run_id: str) -> None:
        """The run of a message of which the backend had not told it, or not even that it has taken the message."""
        if self._accepted:
            self._named(run_id)
            return
        self.log.append(Accepted(run_id))
        self.accepted(run_id)

    def _named(self, run_id: str | None) -> None:
        self.run_id = run_id
        if self.notes is not None:
            self.notes.accepted(run_id)
        if self._acceptance is not None and not self._acceptance.done():
            self._acceptance.set_result(None)

    def not_delivered(self) -> None:
        """The backend has refused the message: another delivery may follow."""
        self.attempting = False
        self.run_id = None
        self._accepted = False

    def interrupted(self) -> TurnLog:
        """What the agent remembers of this stopped turn, as an answer that says so."""
        gap = BLANK_LINE if self.kept and isinstance(self.kept[-1], Text) else ""
        return TurnLog([Accepted(self.run_id), *self.kept, Text(gap + _INTERRUPTED), Ended()])

    def settle(self) -> None:
        """The turn has ended: its answer may be kept for a day, but nobody needs what it took to get it."""
        self.log = self.log.folded()
        self.request = msgspec.structs.replace(self.request, message=_FORGOTTEN)
        self.turn = None
        self.task = None
        if not self.readers:
            self.notes = None

    async def run(self) -> tuple[Turn, str] | None:
        """What to stop, as soon as it is known; None if the backend has no name for it."""
        if not self._accepted:
            self._acceptance = asyncio.get_running_loop().create_future()
            await self._acceptance
        return (self.turn, self.run_id) if self.turn and self.run_id else None
