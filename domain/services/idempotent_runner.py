"""Runs a turn at most once, whichever process its retries come to, and whatever dies in between.

The record of a turn is claimed before the message is sent. What the record says of another process's turn is believed;
what it leaves open, the backend is asked. What a retry gets is decided by the retry rule."""

import asyncio
import time

import msgspec

from domain.model.events import Accepted, Failed
from domain.model.failure_table import FailureCode, FailureKind
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.interrupted_answer import interrupted_answer
from domain.model.retry_rule import RetryAction, decide
from domain.model.turn import Continues
from domain.model.turn_record import TurnRecord
from domain.model.turn_rules import TurnRules
from domain.services.backends import Backends
from domain.services.live_turn import LiveTurn
from domain.services.record_writer import RecordWriter
from domain.services.turn_queue import TurnStart
from domain.services.turn_records import TurnRecords, new_record
from domain.services.turn_runner import DeliveryPlan, TurnRunner
from ports.abilities import CannotDeduplicateError


class IdempotentRunner:
    """In front of `TurnRunner`. Recorded are turns with an idempotency key; and all turns, where retries may come to
    other processes. Turns of one conversation come here one at a time: whatever the store says of one is over."""

    def __init__(self, backends: Backends, runner: TurnRunner, records: TurnRecords, rules: TurnRules) -> None:
        self._backends = backends
        self._runner = runner
        self._records = records
        self._rules = rules

    async def wait(self, live: LiveTurn) -> TurnStart:
        """Return when it is the turn's time. Its record may have been claimed on the way. Raises `FailureError`."""
        record: TurnRecord | None = None
        is_early = self._rules.shared and self._is_recorded(live)
        # What a stopped turn of the same request leaves behind may be all that this one says.
        if is_early and live.predecessor is None and not self._records.is_doubtful(live.identity.state_key):
            record = new_record(live, self._rules)
        try:
            return await live.place.wait(record)
        except BaseException:
            if record is not None and live.place.may_be_claimed:
                self._records.doubt(live.identity.state_key, record)
            raise

    async def run(self, live: LiveTurn, start: TurnStart) -> None:
        """Fill the log up to and with `Ended`; raises `FailureError`.

        A failure that is `repeated` is final; after any other one of a deduplicated turn, the same request may still
        find out what became of it."""
        after_crash = start.after_crash
        if not self._is_recorded(live):
            await self._runner.run(live.request, DeliveryPlan(after_crash=after_crash), live.progress)
            return
        key = live.identity.state_key
        if start.claimed is not None:
            await self._deliver(live, key, start.claimed, after_crash)
            return
        record = new_record(live, self._rules)
        earlier = await self._records.claim(key, record)
        if earlier is None:
            await self._deliver(live, key, record, after_crash)
            return
        now = time.time()
        to_deliver: TurnRecord | None = record
        match decide(earlier.as_earlier_turn(now), live.identity, self._rules, now):
            case RetryAction.DELIVER:
                pass
            case RetryAction.ASK_BACKEND:
                to_deliver = await self._ask_backend(live, key, earlier)
            case RetryAction.REFUSE:
                raise FailureError(Failure(FailureCode.IDEMPOTENCY_KEY_CONFLICT, Delivery.NO))
            case action:
                self._replay(live, key, earlier, action)
                return
        if to_deliver is earlier:
            await self._records.claim_again(key, earlier)
            await self._deliver(live, key, earlier, after_crash, sent_before=True)
        elif to_deliver is not None:
            await self._records.take_over(key, earlier, to_deliver)
            await self._deliver(live, key, to_deliver, after_crash)

    async def _deliver(
        self, live: LiveTurn, key: str, record: TurnRecord, after_crash: bool, sent_before: bool = False
    ) -> None:
        """`sent_before`: perhaps, with the same delivery id; then the record stays, even if this attempt is refused."""
        progress, writer = live.progress, self._records.writer(key, record)
        progress.tell_run(writer.note_run)
        live.audience.tell_if_unanswered(writer.note_unanswered)
        try:
            await self._send(live, record, writer, after_crash)
        except FailureError as error:
            failure = error.failure
            is_still_in_doubt = sent_before and failure.delivery is Delivery.NO
            if not is_still_in_doubt and not _may_be_known_later(live, failure):
                writer.write_end(progress, live.audience, failure)
            raise
        except asyncio.CancelledError:
            if progress.delivery is Delivery.NO and not sent_before:
                writer.write_end(progress, live.audience, Failure(FailureCode.CANCELLED, Delivery.NO))
            raise
        writer.write_end(progress, live.audience, None)

    async def _send(self, live: LiveTurn, record: TurnRecord, writer: RecordWriter, after_crash: bool) -> None:
        request, progress = live.request, live.progress
        if not progress.may_send:
            raise FailureError(Failure(FailureCode.CANCELLED, Delivery.NO, "the backend has nothing of it"))
        history = None
        if self._rules.shared and (request.continues is Continues.PERHAPS or request.user_message_id):
            history = await self._records.history(record)
        plan = DeliveryPlan(record.delivery_id, record.deduplicated, history, after_crash)
        try:
            await self._runner.run(request, plan, progress)
        except CannotDeduplicateError:
            progress.refused()
            await writer.write(deduplicated=False)
            await self._runner.run(request, msgspec.structs.replace(plan, deduplicated=False), progress)

    async def _ask_backend(self, live: LiveTurn, key: str, earlier: TurnRecord) -> TurnRecord | None:
        """What became of the turn of a process that is no more. None: the log holds it now; else the message is to be
        delivered, as this record says."""
        progress, writer = live.progress, self._records.writer(key, earlier)
        plan = DeliveryPlan(earlier.delivery_id, began_at=earlier.began_at)
        progress.answer_as(earlier.response_id)
        patience = max(0.0, earlier.began_at + self._rules.turn_timeout - time.time())
        give_up_at = asyncio.get_running_loop().time() + patience
        try:
            if not await self._runner.resume(live.request, plan, earlier.run_id, progress, give_up_at):
                age = time.time() - earlier.began_at
                deduplication = self._backends.of(live.request.agent).deduplication
                if deduplication is not None and (
                    (earlier.deduplicated or deduplication.deduplicates_all)
                    and age < deduplication.delivery_ids_remembered_for
                ):
                    progress.refused()
                    return earlier
                raise FailureError(Failure(FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN, "its process died"))
        except FailureError as error:
            failure = error.failure
            if failure.delivery is Delivery.NO and not _has_words(live):
                progress.deliver_anew()
                return new_record(live, self._rules)
            if failure.delivery is not Delivery.NO and _is_left_open(live, failure):
                raise
            writer.write_end(progress, live.audience, failure)
            if failure.delivery is Delivery.NO:
                # A reader has seen words that the agent has forgotten: the next request delivers.
                raise
            raise FailureError(msgspec.structs.replace(failure, repeated=True)) from error
        live.audience.tell_if_unanswered(writer.note_unanswered)
        writer.write_end(progress, live.audience, None)
        return None

    def _replay(self, live: LiveTurn, key: str, earlier: TurnRecord, action: RetryAction) -> None:
        """Write into the log what an earlier turn has said."""
        events = earlier.events or ()
        live.progress.answer_as(earlier.response_id)
        if action is RetryAction.REPEAT_FAILURE:
            last = events[-1]
            assert isinstance(last, Failed)  # noqa: S101
            live.progress.replay(events[:-1] if live.request.response is not None else ())
            raise FailureError(msgspec.structs.replace(last.failure, repeated=True))
        if action is RetryAction.REPLAY_INTERRUPTED:
            events = interrupted_answer(earlier.run_id, earlier.remembered_events)
        live.progress.replay(events, earlier.ended_at)
        if not live.identity.has_id:
            # The next request like this one, after this client has its answer, is a new one.
            writer = self._records.writer(key, earlier)
            live.audience.tell_if_unanswered(writer.note_unanswered)
            writer.write_replayed(live.audience)

    def _is_recorded(self, live: LiveTurn) -> bool:
        is_shared = self._rules.shared and not live.request.ephemeral
        return is_shared or live.identity.is_promised


def _may_be_known_later(live: LiveTurn, failure: Failure) -> bool:
    """Whether the record stays as it is, so that the same request can find out what became of the message."""
    is_unknown = failure.delivery is Delivery.UNKNOWN and live.progress.stop_code is None
    is_broken = failure.info.kind is FailureKind.CONNECTION
    return live.request.deduplicated and (is_unknown or is_broken) and not failure.final


def _is_left_open(live: LiveTurn, failure: Failure) -> bool:
    """Whether the answer of the backend leaves open what became of the turn that it was asked about."""
    is_of_question = failure.code in (FailureCode.UPSTREAM_TOO_LARGE, FailureCode.CANCELLED)
    if failure.delivery is Delivery.UNKNOWN and (is_of_question or failure.info.kind is FailureKind.UNAVAILABLE):
        return True
    return live.request.deduplicated and failure.code is FailureCode.CONNECTION_LOST and not failure.final


def _has_words(live: LiveTurn) -> bool:
    """Whether a reader has seen more than that the message was accepted."""
    return any(not isinstance(event, Accepted) for event in live.progress.log.events)
