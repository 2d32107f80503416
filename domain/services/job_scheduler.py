"""Puts jobs and callbacks into the queue, in order, and does what the queue hands back."""

import asyncio
import logging
from collections.abc import Collection, Sequence

from domain.model.failures import FailureError
from domain.model.job import Job, OpenJob
from domain.services import job_pause
from domain.services.job_callbacks import JobCallbacks
from domain.services.job_runner import JobRunner
from ports.job_queue import JobQueue
from ports.job_store import JobStore

logger = logging.getLogger(__name__)


class JobScheduler:
    """`schedule` and `recover` raise `FailureError` (`state_unavailable`)."""

    def __init__(self, store: JobStore, queue: JobQueue, runner: JobRunner, callbacks: JobCallbacks) -> None:
        self._store = store
        self._queue = queue
        self._runner = runner
        self._callbacks = callbacks
        # What was open at the last look, by id and by whether only a callback is left.
        self._seen_open: Collection[tuple[str, bool]] = ()
        # Jobs that were accepted here and are not in the queue yet, and their lanes.
        self._unqueued: dict[str, str] = {}
        self._queueing = asyncio.Lock()
        self._queue_error: FailureError | None = None
        queue.serve(self.work)

    async def schedule(self, job: Job) -> None:
        """Queue an accepted job, behind those that were accepted before. If this fails, `recover` does it."""
        self._unqueued[job.id] = job.lane
        await self._queue_accepted()

    async def recover(self, skipped: Collection[str]) -> Sequence[OpenJob]:
        """Go on with what was left open: tasks that nobody works on any more, and accepted jobs that never came into
        the queue, but for the skipped ones. Returns all open jobs. Nobody else looks for orphans. To be repeated."""
        await self._queue_accepted()
        await self._queue.recover()
        open_jobs = {(job.id, job.finished): job for job in await self._store.open()}
        for key, job in open_jobs.items():
            if key in self._seen_open or job.id in skipped:
                continue
            if job.finished:
                await self._callbacks.queue(job.id)
            else:
                await self._queue.put(job.id, job.lane)
        self._seen_open = open_jobs.keys()
        return [*open_jobs.values()]

    async def work(self, task: str) -> float | None:
        """For the queue: do a task as far as is possible now; the seconds after which to go on, None if it is done."""
        called_back = self._callbacks.job_of(task)
        try:
            return await (self._runner.run(task) if called_back is None else self._callbacks.call(called_back))
        except FailureError as error:
            logger.warning("A job has to wait: %s", error)
            return job_pause.AWAY_PAUSE
        except Exception as error:
            logger.exception("A job failed because of a bug in this service")
            return await self._after_mistake(task, called_back, type(error).__name__)

    async def _after_mistake(self, task: str, called_back: str | None, cause: str) -> float | None:
        try:
            if called_back is not None:
                return await self._callbacks.called(called_back, taken=False)
            return await self._runner.fail_by_mistake(task, cause)
        except Exception:
            logger.exception("The failure of a job could not be written down")
            return job_pause.LONGEST_PAUSE

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
