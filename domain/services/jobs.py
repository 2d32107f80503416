"""What clients do with jobs: leave one, look at it, cancel it. A job is accepted when it is safely written down."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence, Set

from domain.model.api_key import Caller
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.ids import new_id, time_of
from domain.model.job import Job, JobRules, JobState
from domain.model.retry_rule import RETRIED_WITHIN
from domain.services.api_keys import ApiKeys
from domain.services.eventual_write import write_eventually
from domain.services.job_callbacks import JobCallbacks
from domain.services.job_scheduler import JobScheduler
from ports.job_store import JobStore

logger = logging.getLogger(__name__)


def new_job_id() -> str:
    """Ids that are made later sort later."""
    return new_id("job", random_bytes=6)


class Jobs:
    """All methods raise `FailureError` (`state_unavailable`)."""

    def __init__(
        self, store: JobStore, scheduler: JobScheduler, callbacks: JobCallbacks, keys: ApiKeys, rules: JobRules
    ) -> None:
        self._store = store
        self._scheduler = scheduler
        self._callbacks = callbacks
        self._keys = keys
        self._rules = rules
        # Jobs that were not accepted, although perhaps they were written; until that is undone.
        self._being_undone: dict[str, asyncio.Task[None]] = {}
        # Those who had jobs open at the last look, or have left one here since.
        self._owners: set[str] = set()
        self._oldest_open: str | None = None

    @property
    def longest(self) -> int:
        """Bytes of a message that can be accepted at all."""
        return self._rules.max_open_bytes

    @property
    def oldest_open_at(self) -> float | None:
        """When the oldest job was accepted that had not ended at the last look; in seconds since 1970."""
        return None if self._oldest_open is None else time_of("job", self._oldest_open)

    async def accept(self, job: Job, message: str, is_retry: bool) -> Job:
        """The job, safely kept; or the one that the same request has led to before.

        Raises `FailureError`, also `idempotency_key_conflict` and `too_many_jobs`."""
        kept = await self._earlier(job) if is_retry and job.key is None else None
        if kept is None:
            kept = await self._add(job, message)
            if kept.id != job.id and not await self._claim_for_retry(kept):
                kept = await self._add(job, message)
        if kept.body != job.body:
            raise FailureError(Failure(FailureCode.IDEMPOTENCY_KEY_CONFLICT, Delivery.NO))
        if not kept.finished:
            self._owners.add(kept.owner)
            try:
                await self._scheduler.schedule(kept)
            except FailureError as error:
                # It is kept, so it is accepted.
                logger.warning("A job could not be queued yet: %s", error, extra={"job": kept.id})
        return kept

    async def find(self, job_id: str, caller: Caller) -> Job | None:
        """None: there is none of that id, or it is somebody else's, and the caller is no admin."""
        job = await self._store.find(job_id)
        return job if job is not None and (caller.is_admin or job.owner == caller.id) else None

    async def recent(
        self, caller: Caller, most: int, state: JobState | None = None, after: str | None = None
    ) -> Sequence[Job]:
        """The newest jobs of this caller, of an admin those of all; so many at most, the newest first. `after`: those
        that were accepted before the job with that id."""
        return await self._store.recent(most, None if caller.is_admin else caller.id, state, after)

    async def cancel(self, job_id: str, caller: Caller) -> Job | None:
        """As it is now: one that waits is cancelled at once; one that runs is stopped as soon as that is possible."""
        if await self.find(job_id, caller) is None:
            return None
        return await self._cancel(job_id)

    def owners(self) -> Set[str]:
        """The ids of the API keys for which there may be open jobs, as far as this process knows."""
        return self._owners - {""}

    async def cancel_jobs_of(self, owner: str) -> None:
        """This API key was revoked or has expired."""
        for job in await self._store.open():
            if job.owner == owner and not job.finished:
                await self._cancel(job.id)
        self._owners.discard(owner)

    async def counts(self) -> Mapping[JobState, int]:
        """How many jobs there are in each state."""
        return await self._store.counts()

    async def recover(self) -> None:
        """Go on with what another process, of now or before, has left open. To be repeated where there are others."""
        open_jobs = await self._scheduler.recover(skipped=self._being_undone.keys())
        unfinished = [job for job in open_jobs if not job.finished]
        self._owners = {job.owner for job in unfinished}
        self._oldest_open = unfinished[0].id if unfinished else None

    async def _add(self, job: Job, message: str) -> Job:
        try:
            return await self._store.add(job, message, self._rules)
        except FailureError as error:
            if error.failure.code is FailureCode.STATE_UNAVAILABLE:
                self._undo(job.id)
            raise

    async def _earlier(self, job: Job) -> Job | None:
        """The one that the same bytes have led to a short while ago."""
        same = await self._store.find_same(job.body)
        is_recent = same is not None and job.made_at - same.made_at <= RETRIED_WITHIN
        return same if same is not None and is_recent and await self._claim_for_retry(same) else None

    async def _claim_for_retry(self, earlier: Job) -> bool:
        """Whether that job is not undone, and will not be, by this or another process."""
        if earlier.finished:
            return True
        job = await self._store.change(earlier.id, Job.after_retry)
        return job is not None and job.body == earlier.body

    async def _cancel(self, job_id: str) -> Job | None:
        return await self._callbacks.change(job_id, lambda job: job.cancelled(time.time()))

    def _undo(self, job_id: str) -> None:
        """Its client was told that nothing will be delivered, and asks again."""
        undoing = asyncio.create_task(
            write_eventually(lambda: self._store.change(job_id, lambda job: job.not_accepted(time.time())))
        )
        self._being_undone[job_id] = undoing
        undoing.add_done_callback(lambda _: self._being_undone.pop(job_id))
