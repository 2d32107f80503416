"""What became of a turn whose stream came to no good end: found out from what the backend has written down, before
anything is said of the message's fate. What the client still lacks of the answer is written into the turn's log."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from domain.model.events import Ended, Failed, TurnEvent, Usage
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError, with_fate
from domain.model.fate import failure_in, in_doubt, is_broken, judged
from domain.model.remainder import ContradictionError, remainder
from domain.model.run_record import RunRecord, RunSearch
from domain.model.turn import Turn
from domain.model.turn_rules import TurnRules
from domain.services.backends import Backends
from domain.services.turn_progress import TurnProgress
from ports.abilities import RunRecords

# Seconds. Between looks at a busy conversation, or at a run that went on without us.
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 3.0
# So long a backend that has told of an error is asked what became of the message; and if what it has told before tells.
SEEN_WITHIN = 10.0
CONFIRMED_WITHIN = 2.0


class AnswerRecovery:
    """Where a backend has no records, nobody can know more than the failure says."""

    def __init__(self, backends: Backends, rules: TurnRules) -> None:
        self._backends = backends
        self._rules = rules

    def can_tell_more(self, turn: Turn, failure: Failure) -> bool:
        """Whether the backend is to be asked before this failure of a delivery is passed on."""
        is_open = failure.delivery is not Delivery.NO and failure.code is not FailureCode.CANCELLED
        return is_open and self._records(turn) is not None

    async def has_record(self, turn: Turn, run_id: str) -> bool:
        """Whether the backend knows of this run."""
        records = self._records(turn)
        return records is not None and await records.record(turn, run_id) is not None

    async def finish(self, progress: TurnProgress, turn: Turn, failure: Failure) -> None:
        """Finish the answer, or raise `FailureError` with what was seen of the message's fate."""
        run_id = progress.run_id or await self._find_out_run(progress, turn, failure)
        await self.follow(progress, turn, run_id, failure)
        progress.milestones.recovered(failure)

    async def checked_refusal(self, progress: TurnProgress, turn: Turn, failure: Failure) -> Failure:
        """A refusal after which the message is to be sent again, unless it is stored all the same. The backend is
        believed if it cannot be asked."""
        if (records := self._records(turn)) is None:
            return failure
        try:
            search = await self.find_run(turn, asyncio.get_running_loop().time() + records.stop_recorded_within)
        except FailureError:
            return failure
        if search.run_id is None or failure.delivery is not Delivery.NO:
            return failure
        progress.found_run(search.run_id)
        return with_fate(failure, Delivery.UNKNOWN)

    async def follow(
        self, progress: TurnProgress, turn: Turn, run_id: str, lost: Failure, wait_at_least_until: float = 0.0
    ) -> None:
        """The same of a run: wait until it is over, for as long as it makes progress."""
        if (records := self._records(turn)) is None:
            raise FailureError(lost)
        loop = asyncio.get_running_loop()
        patience = self._rules.recovery_timeout
        give_up_at = max(loop.time() + min(patience, _patience_with(lost)), wait_at_least_until)
        unreachable = False
        seen: RunRecord | None = None
        pause = FIRST_PAUSE
        while loop.time() < give_up_at:
            try:
                record = await records.record(turn, run_id)
            except FailureError:
                unreachable = True
            else:
                if record is None and not is_broken(lost):
                    break
                if record is not None:
                    seen = record
                    if self._catch_up(progress, record, lost):
                        give_up_at = max(give_up_at, loop.time() + patience)
                    if record.over:
                        return
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        if seen is None and lost.code is FailureCode.ANSWER_INCOMPLETE and lost.delivery is Delivery.YES:
            progress.write(Ended())
            return
        lost = with_fate(lost, Delivery.YES if seen is not None and seen.remembered else lost.delivery)
        if unreachable and is_broken(lost):
            # The server was away, and its runs are dead: they would keep the conversation locked.
            lost = await self.fate_of_dead(turn, run_id, lost)
        raise FailureError(lost)

    async def find_run(self, turn: Turn, give_up_at: float) -> RunSearch:
        """The run that this turn has led to, if any; when no other is going on in its conversation."""
        if (records := self._records(turn)) is None:
            return RunSearch()
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            search = await records.find_run(turn)
            if not search.undecided or loop.time() >= give_up_at:
                return search
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def fate_of_dead(self, turn: Turn, run_id: str, lost: Failure) -> Failure:
        """Of a run that nobody carries out any more: it is stopped, so that it blocks nothing."""
        records, cancellation = self._records(turn), self._backends.of(turn.agent).run_cancellation
        if records is None or cancellation is None:
            return lost
        try:
            await cancellation.cancel(turn, run_id)
            record = await records.record(turn, run_id)
        except FailureError:
            return lost
        return lost if record is None else judged(lost, record, lost)

    async def fate_of_stopped(self, progress: TurnProgress, stopped: Failure) -> tuple[Failure, Sequence[TurnEvent]]:
        """The failure, with what was seen of the message's fate, and what the agent remembers of its answer.

        A stop in the first step leaves no trace of the message; later, the agent remembers it (recorded, Letta)."""
        stopped = msgspec.structs.replace(stopped, code=progress.stop_code or stopped.code)
        record = None
        attempt = progress.attempt
        records = self._records(attempt.turn) if attempt is not None else None
        if attempt is not None and records is not None and progress.run_id is not None:
            await asyncio.sleep(records.stop_recorded_within)
            with suppress(FailureError):
                record = await records.record(attempt.turn, progress.run_id)
        if record is None:
            return stopped, ()
        if not record.remembered:
            return with_fate(stopped, Delivery.NO), ()
        remembered = tuple(event for event in record.events if not isinstance(event, Failed))
        return with_fate(stopped, Delivery.YES), remembered

    def _records(self, turn: Turn) -> RunRecords | None:
        return self._backends.of(turn.agent).run_records

    async def _find_out_run(self, progress: TurnProgress, turn: Turn, failure: Failure) -> str:
        """By the delivery id. A backend that has told of an error, and has neither the message nor a run that goes on,
        has nothing of it; one whose connection broke may get the message yet."""
        patience = self._rules.turn_timeout if is_broken(failure) else self._rules.recovery_timeout
        try:
            search = await self.find_run(turn, asyncio.get_running_loop().time() + patience)
        except FailureError:
            raise FailureError(with_fate(failure, failure.delivery)) from None
        if search.run_id is None:
            may_be_there = is_broken(failure) or search.undecided or search.has_similar
            is_nowhere = failure.delivery is Delivery.UNKNOWN and not may_be_there
            raise FailureError(with_fate(failure, Delivery.NO if is_nowhere else failure.delivery))
        progress.found_run(search.run_id)
        return search.run_id

    def _catch_up(self, progress: TurnProgress, record: RunRecord, lost: Failure) -> bool:
        """Write into the log what is new in the record; say whether there was anything."""
        if record.over and not record.remembered and all(isinstance(event, Usage | Ended) for event in record.events):
            # It is said to have ended well, but has left nothing at all: one of the two is wrong.
            raise FailureError(in_doubt(lost))
        try:
            new = remainder(progress.events_of_run(), record.events)
        except ContradictionError:
            raise FailureError(judged(lost, record, lost)) from None
        for event in new:
            if isinstance(event, Failed):
                raise FailureError(failure_in(record, event.failure, lost))
            progress.write(event)
        return bool(new)


def _patience_with(lost: Failure) -> float:
    if is_broken(lost):
        return math.inf
    return SEEN_WITHIN if lost.delivery is Delivery.UNKNOWN else CONFIRMED_WITHIN
