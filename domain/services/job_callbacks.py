"""Tells whoever asked for a job that it is finished: by a task of its own, again and again until the call is taken."""

import logging
from collections.abc import Callable

from domain.model.job import Job
from domain.services import job_pause
from domain.services.api_keys import ApiKeys
from ports.callbacks import Callbacks
from ports.job_queue import JobQueue
from ports.job_store import JobStore

# How often a callback is tried; with growing pauses that is a bit more than a day.
MOST_CALLS = 300

_PREFIX = "callback "

logger = logging.getLogger(__name__)


class JobCallbacks:
    """All methods raise `FailureError` (`state_unavailable`)."""

    def __init__(self, store: JobStore, queue: JobQueue, callbacks: Callbacks, keys: ApiKeys) -> None:
        self._store = store
        self._queue = queue
        self._callbacks = callbacks
        self._keys = keys

    @staticmethod
    def job_of(task: str) -> str | None:
        """The id of the job whose callback this task is; None: it is another task."""
        return task.removeprefix(_PREFIX) if task.startswith(_PREFIX) else None

    async def change(self, job_id: str, step: Callable[[Job], Job]) -> Job | None:
        """The job after that step. If it is finished, its callback is queued."""
        job = await self._store.change(job_id, step)
        if job is not None and job.finished and job.owes_callback:
            await self.queue(job.id)
        return job

    async def queue(self, job_id: str) -> None:
        """Have the callback of this job carried out."""
        await self._queue.put(_PREFIX + job_id, _PREFIX + job_id, background=True)

    async def call(self, job_id: str) -> float | None:
        """Call once; the seconds until the next call, None if there is to be none."""
        job = await self._store.find(job_id)
        if job is None or not job.owes_callback:
            return None
        owner = await self._keys.holder(job.owner)
        if owner is None:
            extra = {"job": job_id}
            logger.warning("A callback is not sent, because its API key was revoked or has expired", extra=extra)
            return await self.called(job_id, taken=True)
        return await self.called(job_id, await self._callbacks.call(job, owner.digest))

    async def called(self, job_id: str, taken: bool) -> float | None:
        """Write down that it was called; the seconds until the next call, None if there is to be none."""
        job = await self._store.change(job_id, lambda job: job.called_back(taken, MOST_CALLS))
        return (
            job_pause.pause_after(job.calls, job_pause.LONGEST_PAUSE) if job is not None and job.owes_callback else None
        )
