"""Where jobs are written down. tests/contract states what every store must do."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from domain.model.job import Job, JobRules, JobState, OpenJob

# Seconds, from the end of a job.
KEPT_FOR = 24 * 3600.0


class JobStore(Protocol):
    """Jobs are forgotten `KEPT_FOR` after they have ended, their messages when they end.

    Every method raises `FailureError` (`state_unavailable`) if it cannot be read or written."""

    async def add(self, job: Job, message: str, rules: JobRules) -> Job:
        """Keep it, safe from power cuts when this returns. If there is one with its `key`, that one is returned.

        Raises `FailureError` (`too_many_jobs`) if its owner would have more open than the rules allow, in whichever
        process they were accepted."""
        ...

    async def find(self, job_id: str) -> Job | None:
        """None: there is no such job, or no longer."""
        ...

    async def message(self, job_id: str) -> str | None:
        """What is to be delivered; None: there is no such job, or it has ended."""
        ...

    async def find_same(self, body: bytes) -> Job | None:
        """The newest job with that body."""
        ...

    async def change(self, job_id: str, step: Callable[[Job], Job]) -> Job | None:
        """What `step` makes of the job, which nobody else changes meanwhile."""
        ...

    async def recent(
        self, most: int, owner: str | None = None, state: JobState | None = None, after: str | None = None
    ) -> Sequence[Job]:
        """The newest jobs, so many at most, the newest first. `owner`, `state`: only such. `after`: only those that
        were accepted before the job with that id."""
        ...

    async def open(self) -> Sequence[OpenJob]:
        """The open ones, oldest first."""
        ...

    async def counts(self) -> Mapping[JobState, int]:
        """How many jobs there are in each state."""
        ...
