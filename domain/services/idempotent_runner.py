"""Turns that are written down before they are delivered, so that no retry that comes to another process, or after a
restart, makes a second delivery.

What the turn store says of another process's turn is believed; what it leaves open, the backend is asked."""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from domain.model.events import Accepted, Ended, Failed
from domain.model.failure_table import FailureCode, FailureKind
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.lane import name_of
from domain.model.turn import Continues
from domain.model.turn_record import TurnRecord
from domain.model.turn_rules import TurnRules
from domain.services.eventual_write import write_eventually
from domain.services.live_turn import LiveTurn
from domain.services.message_composer import digest_of
from domain.services.record_writer import RecordWriter
from domain.services.retry_index import IDS_KEPT_FOR, RETRIED_WITHIN, RetryAction, RetryIndex
from domain.services.turn_log import TurnLog
from domain.services.turn_runner import TurnRunner
from ports.agent_gateway import CannotDeduplicateError
from ports.turn_store import TurnStore

# Seconds for which a delivery id is sent again: Letta remembers it for three hours.
SENT_AGAIN_WITHIN = 2.5 * 3600

T = TypeVar("T")

logger = logging.getLogger(__name__)


class IdempotentRunner:
    """In front of `TurnRunner`. Turns with an idempotency key go through the turn store, and all where retries may
    come to other processes: one at a time in each conversation, so whatever it says of a turn like this is over."""

    def __init__(self, delivering: TurnRunner, retries: RetryIndex, turn_store: TurnStore, rules: TurnRules) -> None:
        self._delivering = delivering
        self._retries = retries
        self._store = turn_store
        self._rules = rules
        self._trying: set[asyncio.Task[None]] = set()
        # Delivery ids of records of which nobody knows whether they were written, by key.
        self._doubtful: dict[str, str] = {}

    async def deliver(self, live: LiveTurn) -> None:
        """Fill the log up to and with `Ended`; raises `FailureError`.

        One that is `repeated` is final; after any other of a deduplicated turn, the same request may still find out."""
        if not self._is_recorded(live):
            await self._delivering.deliver(live)
            return
        key, record = live.identity.state_key, self._new_record(live)
        await self._revoke(key)
        earlier = await self._written(key, record, self._store.claim(key, record))
        if earlier is not None:
            later = await self._instead_of(earlier, live, key, record)
            if later is None:
                return
            replacing = self._store.replace(key, later, earlier.delivery_id)
            await (replacing if later is earlier else self._written(key, later, replacing))
            record = later
        await self._carry_out(live, key, record, sent_before=record is earlier)

    async def _instead_of(self, earlier: TurnRecord, live: LiveTurn, key: str, record: TurnRecord) -> TurnRecord | None:
        """What is to be delivered after that turn; None if the log holds now what became of it."""
        if earlier.ended_at is None:
            return await self._inquire(live, key, earlier)
        past = LiveTurn(live.request, live.identity)
        # Of a turn whose events are not kept, it is known that it has ended.
        past.log = TurnLog((Ended(),) if earlier.events is None else earlier.events)
        past.kept, past.answered, past.run_id = earlier.remembered_events, earlier.answered, earlier.run_id
        past.left_at = asyncio.get_running_loop().time() - max(0.0, time.time() - earlier.ended_at)
        how = self._retries.recalled(past, earlier, live.identity)
        if how is None:
            return record
        if earlier.events is None:
            return await self._inquire(live, key, earlier)
        await self._recall(live, key, earlier, past, how)
        return None

    async def _carry_out(self, live: LiveTurn, key: str, record: TurnRecord, sent_before: bool) -> None:
        """`sent_before`: perhaps, with the same delivery id; then the record stays, even if this attempt is refused."""
        live.delivery_id, live.deduplicated = record.delivery_id, record.deduplicated
        live.notes = notes = RecordWriter(self._store, key, record)
        try:
            if live.recall_only:
                raise FailureError(Failure(FailureCode.CANCELLED, Delivery.NO, "the backend has nothing of it"))
            if self._rules.shared and (live.request.continues is Continues.PERHAPS or live.request.user_message_id):
                live.said = await self._store.history(record.lane, record.delivery_id)
            try:
                await self._delivering.deliver(live)
            except CannotDeduplicateError:
                live.not_delivered()
                live.deduplicated = False
                await notes.write(deduplicated=False)
                await self._delivering.deliver(live)
        except FailureError as error:
            is_unknown = error.failure.delivery is Delivery.UNKNOWN and live.stopping is None
            is_broken = error.failure.info.kind is FailureKind.CONNECTION
            may_be_known = (is_unknown or is_broken) and not error.failure.final
            is_open = live.request.deduplicated and may_be_known
            if not is_open and not (sent_before and error.failure.delivery is Delivery.NO):
                await self._settle(live, notes, error.failure)
            raise
        except asyncio.CancelledError:
            if live.delivery is Delivery.NO and not sent_before:
                await self._settle(live, notes, Failure(FailureCode.CANCELLED, Delivery.NO))
            raise
        else:
            await self._settle(live, notes, None)

    async def _inquire(self, live: LiveTurn, key: str, earlier: TurnRecord) -> TurnRecord | None:
        """Ask the backend for the turn of a process that is no more; None if the log holds now what became of it.

        Else the message is to be delivered, as this record says."""
        if live.identity.is_promised and earlier.body != live.identity.body:
            raise FailureError(Failure(FailureCode.IDEMPOTENCY_KEY_CONFLICT, Delivery.NO))
        live.replayed = True
        live.run_id, live.delivery_id = earlier.run_id, earlier.delivery_id
        notes = RecordWriter(self._store, key, earlier)
        patience = max(0.0, earlier.began_at + self._rules.turn_timeout - time.time())
        try:
            if not await self._delivering.resume(live, asyncio.get_running_loop().time() + patience):
                if earlier.deduplicated and time.time() - earlier.began_at < SENT_AGAIN_WITHIN:
                    live.not_delivered()
                    return earlier
                raise FailureError(Failure(FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN, "its process died"))
        except FailureError as error:
            failure = error.failure
            if failure.delivery is Delivery.NO:
                if any(not isinstance(event, Accepted) for event in live.log.events):
                    # A reader has seen words that the agent has forgotten: the next request delivers.
                    await self._settle(live, notes, failure)
                    raise
                live.not_delivered()
                live.replayed = False
                return self._new_record(live)
            if failure.delivery is Delivery.UNKNOWN and _says_nothing_of_turn(failure):
                raise
            if live.request.deduplicated and failure.code is FailureCode.CONNECTION_LOST:
                raise
            await self._settle(live, notes, failure)
            raise FailureError(msgspec.structs.replace(failure, repeated=True)) from error
        live.notes = notes
        await self._settle(live, notes, None)
        return None

    async def _recall(self, live: LiveTurn, key: str, earlier: TurnRecord, past: LiveTurn, how: RetryAction) -> None:
        """Write into the log what an earlier turn said."""
        live.replayed = True
        last = past.log.events[-1]
        if how is RetryAction.REPEAT_FAILURE and isinstance(last, Failed):
            raise FailureError(msgspec.structs.replace(last.failure, repeated=True))
        for event in (past.interrupted() if how is RetryAction.REPLAY_INTERRUPTED else past.log).events:
            live.log.append(event)
        if not live.identity.has_id:
            # The next request like this one, after this client has its answer, is a new one.
            live.notes = notes = RecordWriter(self._store, key, earlier)
            await self._write_end(live, notes, highest_retry_answered=max(earlier.highest_retry_answered, live.served))

    async def _settle(self, live: LiveTurn, notes: RecordWriter, failure: Failure | None) -> None:
        if failure is not None and failure.delivery is Delivery.NO:
            await self._now_or_later(notes.release)
            return
        end = [] if failure is None else [Failed(failure)]
        log = TurnLog([*live.log.events, *end]).folded()
        await self._write_end(
            live,
            notes,
            run_id=live.run_id,
            ended_at=time.time(),
            events=tuple(log.events),
            remembered_events=tuple(live.kept),
            highest_retry_answered=live.served,
        )

    async def _write_end(self, live: LiveTurn, notes: RecordWriter, **changes: object) -> None:
        await self._now_or_later(lambda: notes.write(answered=live.answered or live.readers > 0, **changes))

    async def _now_or_later(self, write: Callable[[], Awaitable[None]]) -> None:
        """A turn that has ended has ended, whenever that can be written down."""
        try:
            await write()
        except FailureError as error:
            logger.warning("The end of a turn could not be written down yet: %s", error)
            self._try_later(write)

    async def _written(self, key: str, record: TurnRecord, writing: Awaitable[T]) -> T:
        """Whether a call that failed, or was cut off, has written this record, nobody knows: then it is taken back."""
        try:
            return await writing
        except BaseException:
            self._doubtful[key] = record.delivery_id
            self._try_later(lambda: self._revoke(key))
            raise

    async def _revoke(self, key: str) -> None:
        """Also before the next turn of that key: it would take the doubtful record for that of a dead process."""
        if (delivery_id := self._doubtful.get(key)) is not None:
            await self._store.revoke(key, delivery_id)
            if self._doubtful.get(key) == delivery_id:
                del self._doubtful[key]

    def _try_later(self, write: Callable[[], Awaitable[None]]) -> None:
        trying = asyncio.create_task(write_eventually(write))
        self._trying.add(trying)
        trying.add_done_callback(self._trying.discard)

    def _is_recorded(self, live: LiveTurn) -> bool:
        shared = self._rules.shared and not live.request.ephemeral
        return shared or live.identity.is_promised

    def _new_record(self, live: LiveTurn) -> TurnRecord:
        now = time.time()
        kept_for = IDS_KEPT_FOR if live.identity.has_id else self._rules.turn_timeout + RETRIED_WITHIN
        return TurnRecord(
            live.identity.body,
            str(uuid.uuid4()),
            live.request.deduplicated,
            began_at=now,
            forget_at=now + kept_for,
            lane=name_of(live.request.lane),
            message_digest=digest_of(live.request.message),
            user_message_id=live.request.user_message_id,
        )


def _says_nothing_of_turn(failure: Failure) -> bool:
    """Whether it was the question to the backend that failed, and not the turn that was asked about."""
    is_of_question = failure.code in (FailureCode.UPSTREAM_TOO_LARGE, FailureCode.CANCELLED)
    return is_of_question or failure.info.kind is FailureKind.UNAVAILABLE
