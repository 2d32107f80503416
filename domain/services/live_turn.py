"""One turn in this process: what was asked for, who reads it, and how far it has come. `Turns` keeps it."""

import asyncio
import time
from collections.abc import Sequence

import msgspec

from domain.model.events import Failed, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.identity import Identity
from domain.model.ids import new_id
from domain.model.interrupted_answer import interrupted_answer
from domain.model.retry_rule import EarlierTurn, TurnState, state_after
from domain.model.turn import TurnRequest, UserMessage
from domain.services.audience import Audience
from domain.services.turn_progress import TurnProgress
from domain.services.turn_queue import QueuePlace

_FORGOTTEN = UserMessage("")


class LiveTurn:
    """`predecessor`: the stopped turn of the same request, whose fate decides what this one does."""

    def __init__(
        self, request: TurnRequest, identity: Identity, place: QueuePlace, predecessor: "LiveTurn | None"
    ) -> None:
        self.id = new_id("turn", 8)
        self.asked_at = time.time()
        self.retries = 0
        self.request = request
        self.identity = identity
        self.place = place
        self.predecessor = predecessor
        self.audience = Audience()
        response_id = request.response.record.id if request.response is not None else None
        self.progress = TurnProgress(is_wanted=lambda: self.audience.is_watched, response_id=response_id)
        self.task: asyncio.Task[None] | None = None

    @property
    def has_left_no_trace(self) -> bool:
        """Whether it has ended, and nothing was delivered."""
        return self._state is TurnState.UNDELIVERED

    def as_earlier_turn(self) -> EarlierTurn:
        """For the retry rule, on the event loop's clock."""
        audience = self.audience
        return EarlierTurn(
            self._state,
            self.identity.body,
            audience.left_at,
            audience.is_watched,
            audience.is_answered,
            audience.highest_retry_answered,
        )

    def interrupted(self) -> Sequence[TurnEvent]:
        """What the agent remembers of this stopped turn, as an answer that says so."""
        return interrupted_answer(self.progress.run_id, self.progress.remembered)

    def failure(self) -> Failure:
        """The failure with which it has ended."""
        last = self.progress.log.events[-1]
        assert isinstance(last, Failed)  # noqa: S101
        return last.failure

    def inherited_answer(self) -> Sequence[TurnEvent] | None:
        """What the stopped turn of the same request has left behind, instead of which nothing is to be delivered."""
        stopped = self.predecessor
        if stopped is None or stopped.has_left_no_trace:
            return None
        if stopped.progress.remembered:
            return stopped.interrupted()
        log = stopped.progress.log
        if log.ended:
            return log.events
        return [*log.events[:-1], Failed(Failure(FailureCode.CANCELLED, Delivery.UNKNOWN))]

    def end(self, now: float) -> None:
        """It has ended. Its answer may be kept for a day, but nobody needs what it took to get it."""
        if not self.has_left_no_trace:
            self.predecessor = None
        self.audience.turn_ended(now)
        self.progress.ended()
        self.request = msgspec.structs.replace(self.request, message=_FORGOTTEN, response=None)
        self.task = None

    @property
    def _state(self) -> TurnState:
        log = self.progress.log
        if log.ended:
            return state_after(log.events[-1], bool(self.progress.remembered))
        return TurnState.RUNNING if self.progress.stop_code is None else TurnState.STOPPING
