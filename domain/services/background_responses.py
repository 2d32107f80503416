"""Responses that are made in the background, by jobs: accepted, found again when the request is sent again, stopped."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import msgspec

from domain.model.api_key import Caller
from domain.model.failures import FailureError
from domain.model.job import Job
from domain.model.response import KeptResponse, ResponseRecord, ResponseRequest, job_of
from domain.model.turn import UserMessage
from domain.services.jobs import Jobs
from domain.services.responses import Responses
from domain.services.unanswered_requests import UnansweredRequests
from ports.response_store import ResponseStore

# Seconds for which whoever cancels a response waits for its end, and between looks at it.
_CANCELLED_WITHIN = 10.0
_LOOK_EVERY = 0.1


class BackgroundResponses:
    """All asynchronous methods raise `FailureError` (`state_unavailable`)."""

    def __init__(self, store: ResponseStore, responses: Responses, jobs: Jobs) -> None:
        self._store = store
        self._responses = responses
        self._jobs = jobs
        self._unanswered = UnansweredRequests()

    @property
    def longest(self) -> int:
        """Bytes of a message that can be accepted at all."""
        return self._jobs.longest

    async def accept(
        self,
        asked: ResponseRequest,
        job: Job,
        message: UserMessage,
        is_retry: bool,
        check: Callable[[], Awaitable[None]],
    ) -> ResponseRecord:
        """Have it made in the background. The response, safely kept; or the one that the same request has led to.

        `check` is asked about a new one only: it raises if it must not be made. Raises `FailureError`, also as
        `Jobs.accept` does."""
        record = asked.record
        is_retry = is_retry or self._unanswered.is_retry(job.body)
        # First: whoever finds the job finds its response.
        await self._store.keep([KeptResponse(record, asked.input)])
        try:
            kept = await self._jobs.accept(job, msgspec.json.encode(message).decode(), is_retry)
        except BaseException:
            await self._forget(record.id)
            raise
        if kept.id == job.id:
            try:
                await check()
            except FailureError:
                # The job finds that as well, if it has begun.
                await self._jobs.cancel(job.id, Caller(id=job.owner))
                await self._forget(record.id)
                raise
            return record
        await self._forget(record.id)
        # A retry after the earlier response was forgotten is told that it was accepted, which is true.
        return await self._responses.find(kept.response_id or "", record.owner) or record

    def reading(self, body: bytes) -> Callable[[bool], None]:
        """A client reads what it gets for a request with that body; to be called with whether it got all of it."""
        return self._unanswered.reading(body)

    async def cancel(self, record: ResponseRecord) -> ResponseRecord:
        """Stop one that is made in the background, if it has not ended yet."""
        if record.status.is_final:
            return record
        await self._jobs.cancel(job_of(record.id), Caller(id=record.owner))
        give_up_at = asyncio.get_running_loop().time() + _CANCELLED_WITHIN
        while True:
            now = await self._responses.find(record.id, record.owner) or record
            if now.status.is_final or asyncio.get_running_loop().time() >= give_up_at:
                return now
            await asyncio.sleep(_LOOK_EVERY)

    async def _forget(self, response_id: str) -> None:
        with contextlib.suppress(FailureError):
            await self._store.delete(response_id)
