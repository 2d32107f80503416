"""Jobs: accepted when they are safely written down, then carried out as turns, in order, until they are finished.

A job is one turn with a key of its own in the turn store: so, however often it is attempted, it is delivered once."""

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Set

import msgspec

from domain.model.answer_text import whole_text
from domain.model.events import Ended, Failed, TurnEvent
from domain.model.failure_table import FailureCode, FailureKind
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.identity import Identity
from domain.model.job import Job, JobRules, JobState
from domain.model.retry_rule import RETRIED_WITHIN
from domain.model.turn import TurnRequest, UserMessage
from domain.services.api_keys import ApiKeys
from domain.services.eventual_write import write_eventually
from domain.services.memory_budget import MemoryBudget
from domain.services.turn_subscription import TurnSubscription
from domain.services.turns import Turns
from ports.callbacks import Callbacks
from ports.job_queue import JobQueue
from ports.job_store import JobStore

# Seconds between two attempts: at first, at most while something is away, and at most.
FIRST_PAUSE = 1.0
AWAY_PAUSE = 15.0
LONGEST_PAUSE = 300.0
# How often a callback is tried; with growing pauses that is a bit more than a day.
MOST_CALLS = 300
# Bytes of messages that are in memory at a time, beside those that are small.
ROOM = 32_000_000
SMALL = 250_000
# Seconds between looks at whether a running job is to be cancelled, perhaps by another process.
LOOK_EVERY = 0.5
_LOOKS_BEFORE_CUT = 60

_CALLBACK = "callback "

logger = logging.getLogger(__name__)


def new_job_id() -> str:
    """Ids that are made later sort later."""
    return f"job_{time.time_ns() // 1000:015x}{secrets.token_hex(6)}"


class Jobs:
    """All methods but `work` raise `FailureError` (`state_unavailable`)."""

    def __init__(
        self, store: JobStore, queue: JobQueue, turns: Turns, callbacks: Callbacks, keys: ApiKeys, rules: JobRules
    ) -> None:
        self._store = store
        self._queue = queue
        self._turns = turns
        self._callbacks = callbacks
        self._keys = keys
        self._rules = rules
        self._room = MemoryBudget(ROOM, SMALL)
        # What was open at the last look, by id and by whether only a callback is left.
        self._left: Collection[tuple[str, bool]] = ()
        # Jobs that were accepted here and are not in the queue yet, and their lanes.
        self._unqueued: dict[str, str] = {}
        self._queueing = asyncio.Lock()
        self._queue_error: FailureError | None = None
        # Jobs that were not accepted, although perhaps they were written; until that is undone.
        self._taken_back: dict[str, asyncio.Task[None]] = {}
        # Those who had jobs open at the last look, or have left one here since.
        self._owners: set[str] = set()
        queue.serve(self.work)

    @property
    def longest(self) -> int:
        """Bytes of a message that can be accepted at all."""
        return self._rules.max_open_bytes

    async def accept(self, job: Job, message: str, is_retry: bool) -> Job:
        """The job, safely kept; or the one that the same request has led to before.

        Raises `FailureError`, also `idempotency_key_conflict` and `too_many_jobs`."""
        kept = await self._earlier(job) if is_retry and job.key is None else None
        if kept is None:
            kept = await self._add(job, message)
            if kept.id != job.id and not await self._stays(kept):
                kept = await self._add(job, message)
        if kept.body != job.body:
            raise FailureError(Failure(FailureCode.IDEMPOTENCY_KEY_CONFLICT, Delivery.NO))
        if not kept.finished:
            self._owners.add(kept.owner)
            try:
                await self._queue_in_order(kept)
            except FailureError as error:
                # It is kept, so it is accepted.
                logger.warning("A job could not be queued yet: %s", error, extra={"job": kept.id})
        return kept

    async def _queue_in_order(self, job: Job) -> None:
        self._unqueued[job.id] = job.lane
        await self._queue_accepted()

    async def _queue_accepted(self) -> None:
        """One after the other, so that no job overtakes one that could not be queued before."""
        earlier = self._queue_error
        async with self._queueing:
            if self._queue_error is not None and self._queue_error is not earlier:
                # Just tried in vain: the next one in line would wait as long for the same.
                raise self._queue_error
            try:
                for job_id, lane in [*self._unqueued.items()]:
                    await self._queue.put(job_id, lane)
                    del self._unqueued[job_id]
            except FailureError as error:
                self._queue_error = error
                raise

    async def _add(self, job: Job, message: str) -> Job:
        try:
            return await self._store.add(job, message, self._rules)
        except FailureError as error:
            if error.failure.code is FailureCode.STATE_UNAVAILABLE:
                self._take_back(job.id)
            raise

    async def _earlier(self, job: Job) -> Job | None:
        """The one that the same bytes have led to a short while ago."""
        same = await self._store.alike(job.body)
        if same is None or job.made_at - same.made_at > RETRIED_WITHIN or not await self._stays(same):
            return None
        return same

    async def _stays(self, earlier: Job) -> bool:
        """Whether that job is not taken back, and will not be, by this or another process."""
        if earlier.finished:
            return True
        job = await self._store.change(earlier.id, _asked_for_again)
        return job is not None and job.body == earlier.body

    def _take_back(self, job_id: str) -> None:
        """Its client was told that nothing will be delivered, and asks again."""
        trying = asyncio.create_task(write_eventually(lambda: self._store.change(job_id, _not_accepted)))
        self._taken_back[job_id] = trying
        trying.add_done_callback(lambda _: self._taken_back.pop(job_id))

    async def find(self, job_id: str, owner: str) -> Job | None:
        """None: there is none of that id, or it is somebody else's. What nobody owns any more is the main key's."""
        job = await self._store.find(job_id)
        if job is None or job.owner == owner:
            return job
        return job if not owner and await self._keys.holder(job.owner) is None else None

    async def cancel(self, job_id: str, owner: str) -> Job | None:
        """As it is now: one that waits is cancelled at once; one that runs is stopped as soon as that is possible."""
        if await self.find(job_id, owner) is None:
            return None
        return await self._changed(job_id, _cancelled)

    def owners(self) -> Set[str]:
        """The ids of the API keys for which there may be open jobs, as far as this process knows."""
        return self._owners - {""}

    async def cancel_those_of(self, owner: str) -> None:
        """Its API key holds no more."""
        for job in await self._store.open():
            if job.owner == owner and not job.finished:
                await self._changed(job.id, _cancelled)
        self._owners.discard(owner)

    async def counts(self) -> Mapping[JobState, int]:
        """How many jobs there are in each state."""
        return await self._store.counts()

    async def recover(self) -> None:
        """Go on with what another process, of now or before, has left open. To be repeated where there are others."""
        await self._queue_accepted()
        left = {(job.id, job.finished): job for job in await self._store.open()}
        self._owners = {job.owner for job in left.values() if not job.finished}
        for key, job in left.items():
            if key in self._left or job.id in self._taken_back:
                continue
            if job.finished:
                await self._queue_callback(job.id)
            else:
                await self._queue.put(job.id, job.lane)
        self._left = left.keys()

    async def work(self, task: str) -> float | None:
        """For the queue: do a task as far as is possible now; the seconds after which to go on, None if it is done."""
        try:
            if task.startswith(_CALLBACK):
                return await self._call_back(task.removeprefix(_CALLBACK))
            return await self._carry_out(task)
        except FailureError as error:
            logger.warning("A job has to wait: %s", error)
            return AWAY_PAUSE
        except Exception as error:
            logger.exception("A job failed by a mistake of this service")
            return await self._after_mistake(task, type(error).__name__)

    async def _after_mistake(self, task: str, cause: str) -> float | None:
        """It counts, so that it does not come again and again."""
        failure = Failure(FailureCode.INTERNAL_ERROR, Delivery.UNKNOWN, cause)
        try:
            if task.startswith(_CALLBACK):
                return await self._called(task.removeprefix(_CALLBACK), taken=False)
            job = await self._changed(task, lambda job: self._put_back(job, failure, counts=True))
        except Exception:
            logger.exception("Not even that can be written down")
            return LONGEST_PAUSE
        return None if job is None or job.finished else LONGEST_PAUSE

    async def _carry_out(self, job_id: str) -> float | None:
        job = await self._store.find(job_id)
        if job is None:
            return None
        if await self._keys.holder(job.owner) is None:
            await self._changed(job_id, _cancelled)
        async with self._room.taken(job.size):
            job = await self._changed(job_id, _begun)
            if job is None or job.finished:
                return None
            failure, response = await self._attempt(job)
        if failure is None:
            await self._changed(job_id, lambda job: _ended(job, JobState.COMPLETED, response=response))
            return None
        logger.info("A job was attempted: %s, %s", failure.code, failure.delivery, extra={"job": job_id})
        if failure.code in (FailureCode.CANCELLED, FailureCode.KEY_REVOKED):
            await self._changed(job_id, lambda job: _ended(job, JobState.CANCELLED, failure))
            return None
        if failure.delivery is not Delivery.NO and (failure.repeated or not _may_be_known_later(failure)):
            await self._changed(job_id, lambda job: _ended(job, JobState.FAILED, failure))
            return None
        is_lost = failure.code is FailureCode.CONNECTION_LOST and failure.delivery is not Delivery.NO
        away = failure.info.kind is FailureKind.UNAVAILABLE or is_lost
        waiting = await self._changed(job_id, lambda job: self._put_back(job, failure, counts=not away))
        if waiting is None or waiting.finished:
            return None
        return max(_pause(job.attempts, AWAY_PAUSE if away else LONGEST_PAUSE), failure.retry_after or 0.0)

    async def _attempt(self, job: Job) -> tuple[Failure | None, str]:
        message = await self._store.message(job.id)
        if message is None:
            # Somebody else has ended it; otherwise it can never be delivered.
            return Failure(FailureCode.INTERNAL_ERROR, Delivery.UNKNOWN, "its message is gone"), ""
        request = TurnRequest(
            job.agent, UserMessage(message), job.chat, job.user_message_id, deduplicated=True, owner=job.owner
        )
        identity = Identity(job.body, job=job.id, attempt=job.attempts)
        try:
            reading = self._turns.begin(request, identity)
        except FailureError as error:
            return error.failure, ""
        if job.cancelling:
            reading.forbid_sending()
        events: list[TurnEvent] = []
        watching = asyncio.create_task(self._stop_when_cancelled(job, reading))
        try:
            while not reading.reader.finished:
                events += await reading.reader.take()
        finally:
            watching.cancel()
            reading.reader.close()
            reading.leave(bool(events) and isinstance(events[-1], Ended), will_ask_again=True)
        last = events[-1]
        return (last.failure if isinstance(last, Failed) else None), whole_text(events)

    async def _stop_when_cancelled(self, job: Job, reading: TurnSubscription) -> None:
        # The agent may be at an earlier attempt, which has to be found before it can be stopped.
        looks_before_cut = 0 if job.attempts == 1 else _LOOKS_BEFORE_CUT
        while True:
            try:
                if await self._is_cancelling(job.id):
                    reading.forbid_sending()
                    if reading.is_delivered or not looks_before_cut:
                        await reading.stop()
                        return
                    looks_before_cut -= 1
            except FailureError as error:
                logger.warning("Whether a job is to be cancelled cannot be seen: %s", error)
            await asyncio.sleep(LOOK_EVERY)

    async def _is_cancelling(self, job_id: str) -> bool:
        job = await self._store.find(job_id)
        return job is not None and job.cancelling

    def _put_back(self, job: Job, failure: Failure, counts: bool) -> Job:
        if job.finished:
            return job
        tries = job.tries + counts
        if tries >= self._rules.tries:
            return _ended(msgspec.structs.replace(job, tries=tries), JobState.FAILED, failure)
        return msgspec.structs.replace(job, state=JobState.QUEUED, tries=tries, failure=failure)

    async def _changed(self, job_id: str, step: Callable[[Job], Job]) -> Job | None:
        job = await self._store.change(job_id, step)
        if job is not None and job.finished:
            await self._owe_callback(job)
        return job

    async def _owe_callback(self, job: Job) -> None:
        if job.owes_callback:
            await self._queue_callback(job.id)

    async def _queue_callback(self, job_id: str) -> None:
        await self._queue.put(_CALLBACK + job_id, _CALLBACK + job_id, background=True)

    async def _call_back(self, job_id: str) -> float | None:
        job = await self._store.find(job_id)
        if job is None or not job.owes_callback:
            return None
        owner = await self._keys.holder(job.owner)
        if owner is None:
            logger.warning("A callback is not sent, because its API key holds no more", extra={"job": job_id})
            return await self._called(job_id, taken=True)
        return await self._called(job_id, await self._callbacks.call(job, owner.digest))

    async def _called(self, job_id: str, taken: bool) -> float | None:
        """Write down that a callback was tried; the seconds until the next try, if there is to be one."""
        job = await self._store.change(
            job_id,
            lambda job: msgspec.structs.replace(
                job, calls=job.calls + 1, owes_callback=not taken and job.calls + 1 < MOST_CALLS
            ),
        )
        return _pause(job.calls, LONGEST_PAUSE) if job is not None and job.owes_callback else None


def _may_be_known_later(failure: Failure) -> bool:
    """Whether the backend can be asked again what became of the message."""
    if failure.final:
        return False
    is_away = failure.info.kind in (FailureKind.UNAVAILABLE, FailureKind.CONNECTION)
    return is_away or (failure.delivery is Delivery.UNKNOWN and failure.info.is_fate_open)


def _begun(job: Job) -> Job:
    if job.finished:
        return job
    if job.cancelling and not job.attempts:
        return _ended(job, JobState.CANCELLED)
    now = time.time()
    return msgspec.structs.replace(job, state=JobState.RUNNING, attempts=job.attempts + 1, began_at=job.began_at or now)


def _cancelled(job: Job) -> Job:
    if job.finished:
        return job
    if job.state is JobState.QUEUED and (job.failure is None or job.failure.delivery is Delivery.NO):
        return _ended(msgspec.structs.replace(job, cancelling=True), JobState.CANCELLED)
    return msgspec.structs.replace(job, cancelling=True)


def _asked_for_again(job: Job) -> Job:
    return msgspec.structs.replace(job, asked_for_again=True)


def _not_accepted(job: Job) -> Job:
    """No retry is to find it, unless one has found it already."""
    if job.asked_for_again:
        return job
    return msgspec.structs.replace(_cancelled(job), owes_callback=False, key=None, body=b"")


def _ended(job: Job, state: JobState, failure: Failure | None = None, response: str | None = None) -> Job:
    if job.finished:
        return job
    return msgspec.structs.replace(
        job,
        state=state,
        ended_at=time.time(),
        failure=failure,
        response=response,
        owes_callback=job.callback_url is not None,
    )


def _pause(attempts: int, longest: float) -> float:
    return min(FIRST_PAUSE * 2.0 ** min(attempts - 1, 20), longest) * random.uniform(0.8, 1.0)  # noqa: S311
