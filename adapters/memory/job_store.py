"""A job store in memory: forgotten with the process."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from domain.model.job import Job, JobRules, JobState, OpenJob
from ports.job_store import KEPT_FOR


class MemoryJobStore:
    """`ports.JobStore`."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._messages: dict[str, str] = {}

    async def add(self, job: Job, message: str, rules: JobRules) -> Job:
        self._forget_old()
        if job.key is not None:
            for kept in self._jobs.values():
                if kept.key == job.key:
                    return kept
        others = [other for other in self._jobs.values() if other.open and other.owner == job.owner]
        rules.check_room(job.size, len(others), sum(other.size for other in others if not other.finished))
        self._jobs[job.id] = job
        self._messages[job.id] = message
        return job

    async def find(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    async def message(self, job_id: str) -> str | None:
        return self._messages.get(job_id)

    async def find_same(self, body: bytes) -> Job | None:
        return max((job for job in self._jobs.values() if job.body == body), key=lambda job: job.id, default=None)

    async def change(self, job_id: str, step: Callable[[Job], Job]) -> Job | None:
        job = self._jobs.get(job_id)
        if job is None:
            return None
        self._jobs[job_id] = changed = step(job)
        if changed.finished:
            self._messages.pop(job_id, None)
        return changed

    async def recent(
        self, most: int, owner: str | None = None, state: JobState | None = None, after: str | None = None
    ) -> Sequence[Job]:
        wanted = [
            job
            for job in sorted(self._jobs.values(), key=lambda job: job.id, reverse=True)
            if owner in (None, job.owner) and state in (None, job.state) and (after is None or job.id < after)
        ]
        return wanted[:most]

    async def open(self) -> Sequence[OpenJob]:
        jobs = sorted((job for job in self._jobs.values() if job.open), key=lambda job: job.id)
        return [OpenJob(job.id, job.owner, job.lane, job.finished) for job in jobs]

    async def counts(self) -> Mapping[JobState, int]:
        return Counter(job.state for job in self._jobs.values())

    def _forget_old(self) -> None:
        oldest = time.time() - KEPT_FOR
        for job in [job for job in self._jobs.values() if not job.open and (job.ended_at or 0) < oldest]:
            del self._jobs[job.id]
