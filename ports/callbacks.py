"""How whoever asked for a job is told that it is finished."""

from typing import Protocol

from domain.model.job import Job


class Callbacks(Protocol):
    """`secret` is what the call is signed with."""

    async def call(self, job: Job, secret: str) -> bool:
        """Whether it was taken. Does not raise."""
        ...
