"""A job book in memory: forgotten with the process."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from domain.model.job import Job, JobState
from ports.job_book import KEPT_FOR


class MemoryJobBook:
    """`ports.JobBook`."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    async def add(self, job: Job) -> Job:
        self._forget_old()
        if job.key is not None:
            for kept in self._jobs.values():
                if kept.key == job.key:
                    return kept
        self._jobs[job.id] = job
        return job

    async def find(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    async def alike(self, body: bytes) -> Job | None:
        return max((job for job in self._jobs.values() if job.body == body), key=lambda job: job.id, default=None)

    async def change(self, job_id: str, step: Callable[[Job], Job]) -> Job | None:
        job = self._jobs.get(job_id)
        if job is None:
            return None
        self._jobs[job_id] = changed = step(job)
        return changed

    async def open(self) -> Sequence[Job]:
        return sorted((job for job in self._jobs.values() if job.open), key=lambda job: job.id)

    async def counts(self) -> Mapping[JobState, int]:
        return Counter(job.state for job in self._jobs.values())

    def _forget_old(self) -> None:
        oldest = time.time() - KEPT_FOR
        for job in [job for job in self._jobs.values() if not job.open and (job.ended_at or 0) < oldest]:
            del self._jobs[job.id]
