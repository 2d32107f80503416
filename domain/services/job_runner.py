"""Carries out a job: each attempt is a turn with the job's own id, so that its message is delivered once."""

import asyncio
import logging
import math
import time

import msgspec

from domain.model.answer_text import whole_text
from domain.model.events import Ended, Failed, TurnEvent
from domain.model.failure_table import FailureCode, FailureKind
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.identity import Identity
from domain.model.job import Job, JobRules, JobState
from domain.model.response import ResponseRequest
from domain.model.turn import TurnRequest, UserMessage
from domain.services import job_pause
from domain.services.api_keys import ApiKeys
from domain.services.job_callbacks import JobCallbacks
from domain.services.memory_budget import MemoryBudget
from domain.services.response_publication import ResponsePublication, ResponsePublications
from domain.services.turn_subscription import TurnSubscription
from domain.services.turns import Turns
from ports.job_store import JobStore

# Bytes of messages that are in memory at a time, beside those that are small.
MOST_BYTES = 32_000_000
SMALL = 250_000
# Seconds between looks at whether a running job is to be cancelled, perhaps by another process.
LOOK_EVERY = 0.5
_LOOKS_BEFORE_CUT = 60

_message_decoder = msgspec.json.Decoder(UserMessage)

logger = logging.getLogger(__name__)


class JobRunner:
    """All methods raise `FailureError` (`state_unavailable`)."""

    def __init__(
        self,
        store: JobStore,
        callbacks: JobCallbacks,
        turns: Turns,
        keys: ApiKeys,
        publications: ResponsePublications,
        rules: JobRules,
    ) -> None:
        self._store = store
        self._callbacks = callbacks
        self._turns = turns
        self._keys = keys
        self._publications = publications
        self._rules = rules
        self._budget = MemoryBudget(MOST_BYTES, SMALL)

    async def run(self, job_id: str) -> float | None:
        """Make one attempt; the seconds until the next one, None if the job is finished."""
        job = await self._store.find(job_id)
        if job is None:
            return None
        if await self._keys.holder(job.owner) is None:
            await self._callbacks.change(job_id, lambda job: job.cancelled(time.time()))
        async with self._budget.reserve(job.size), self._publications.attempt(job.response_id) as publication:
            job = await self._callbacks.change(job_id, lambda job: job.begun(time.time()))
            pause = None if job is None or job.finished else await self._attempt(job, publication)
            if pause is None and publication is not None and not publication.record.status.is_final:
                await self._end_publication(job_id, publication)
        return pause

    async def _attempt(self, job: Job, publication: ResponsePublication | None) -> float | None:
        """One attempt; the seconds until the next one, None if the job is finished."""
        job_id = job.id
        last, response = await self._carry_out(job, publication)
        if not isinstance(last, Failed):
            if publication is not None:
                # Before the job says so: whoever asks then finds all of it.
                await publication.end(last)
            await self._end(job_id, JobState.COMPLETED, response=response)
            return None
        failure = last.failure
        logger.info("A job was attempted: %s, %s", failure.code, failure.delivery, extra={"job": job_id})
        if failure.code in (FailureCode.CANCELLED, FailureCode.KEY_REVOKED):
            await self._end(job_id, JobState.CANCELLED, failure)
            return None
        is_settled = failure.delivery is not Delivery.NO and (failure.repeated or not _may_be_known_later(failure))
        if is_settled or failure.code is FailureCode.PREVIOUS_RESPONSE_NOT_LAST:
            await self._end(job_id, JobState.FAILED, failure)
            return None
        return await self._put_back(job, failure)

    async def fail_by_mistake(self, job_id: str, cause: str) -> float | None:
        """This service made a mistake. It counts, so that it does not come again and again."""
        failure = Failure(FailureCode.INTERNAL_ERROR, Delivery.UNKNOWN, cause)
        job = await self._callbacks.change(
            job_id, lambda job: job.put_back(failure, counts=True, most_tries=self._rules.tries, now=time.time())
        )
        return None if job is None or job.finished else job_pause.LONGEST_PAUSE

    async def _put_back(self, job: Job, failure: Failure) -> float | None:
        is_lost = failure.code is FailureCode.CONNECTION_LOST and failure.delivery is not Delivery.NO
        is_away = failure.info.kind is FailureKind.UNAVAILABLE or is_lost
        waiting = await self._callbacks.change(
            job.id,
            # What is away comes back: such attempts are not the job's fault.
            lambda job: job.put_back(failure, counts=not is_away, most_tries=self._rules.tries, now=time.time()),
        )
        if waiting is None or waiting.finished:
            return None
        longest = job_pause.AWAY_PAUSE if is_away else job_pause.LONGEST_PAUSE
        return max(job_pause.pause_after(job.attempts, longest), failure.retry_after or 0.0)

    async def _end(
        self, job_id: str, state: JobState, failure: Failure | None = None, response: str | None = None
    ) -> None:
        await self._callbacks.change(job_id, lambda job: job.ended(state, time.time(), failure, response))

    async def _end_publication(self, job_id: str, publication: ResponsePublication) -> None:
        """As its job has ended."""
        if (job := await self._store.find(job_id)) is not None:
            await publication.end(last_event(job))

    async def _carry_out(self, job: Job, publication: ResponsePublication | None) -> tuple[TurnEvent, str]:
        """How it has ended, and the text of the answer."""
        message = await self._store.message(job.id)
        if message is None:
            # Somebody else has ended it; otherwise it can never be delivered.
            return Failed(Failure(FailureCode.INTERNAL_ERROR, Delivery.UNKNOWN, "its message is gone")), ""
        request = TurnRequest(
            job.agent,
            UserMessage(message) if job.response_id is None else _message_decoder.decode(message),
            job.chat,
            job.user_message_id,
            deduplicated=True,
            owner=job.owner,
            response=ResponseRequest(publication.record, follows=job.follows) if publication else None,
        )
        try:
            subscription = self._turns.begin(request, Identity(job.body, job=job.id, attempt=job.attempts))
        except FailureError as error:
            return Failed(error.failure), ""
        if job.cancelling:
            subscription.forbid_sending()
        events: list[TurnEvent] = []
        watching = asyncio.create_task(self._stop_when_cancelled(job, subscription))
        try:
            while not subscription.reader.finished:
                new = await subscription.reader.take(math.inf if publication is None else publication.wake_at)
                events += new
                if publication is not None:
                    await publication.add(new, asyncio.get_running_loop().time())
        finally:
            watching.cancel()
            subscription.reader.close()
            subscription.leave(bool(events) and isinstance(events[-1], Ended), will_ask_again=True)
        return events[-1], whole_text(events)

    async def _stop_when_cancelled(self, job: Job, subscription: TurnSubscription) -> None:
        # The agent may be at an earlier attempt, which has to be found before it can be stopped.
        looks_before_cut = 0 if job.attempts == 1 else _LOOKS_BEFORE_CUT
        while True:
            try:
                if await self._is_cancelling(job.id):
                    subscription.forbid_sending()
                    if subscription.is_delivered or not looks_before_cut:
                        await subscription.stop()
                        return
                    looks_before_cut -= 1
            except FailureError as error:
                logger.warning("Whether a job is to be cancelled cannot be seen: %s", error)
            await asyncio.sleep(LOOK_EVERY)

    async def _is_cancelling(self, job_id: str) -> bool:
        job = await self._store.find(job_id)
        return job is not None and job.cancelling


def last_event(job: Job) -> TurnEvent:
    """With which a response ends whose job has ended."""
    match job.state:
        case JobState.COMPLETED:
            return Ended()
        case JobState.FAILED if job.failure is not None:
            return Failed(job.failure)
    return Failed(Failure(FailureCode.CANCELLED, Delivery.UNKNOWN if job.attempts else Delivery.NO))


def _may_be_known_later(failure: Failure) -> bool:
    """Whether the backend can be asked again what became of the message."""
    if failure.final:
        return False
    is_away = failure.info.kind in (FailureKind.UNAVAILABLE, FailureKind.CONNECTION)
    return is_away or (failure.delivery is Delivery.UNKNOWN and failure.info.is_fate_open)
