"""What clients do with responses that have an id: look at one, read its events again or on, forget it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Sequence

import msgspec

from domain.model.events import Accepted, Ended, Failed, TurnEvent
from domain.model.failures import FailureError
from domain.model.response import (
    KeptResponse,
    ResponseRecord,
    ResponseRequest,
    ResponseStatus,
    is_response_id,
    job_of,
)
from domain.model.turn import Turn
from domain.model.turn_rules import TurnRules
from domain.services.backends import Backends
from domain.services.job_runner import last_event
from domain.services.response_follower import ResponseFollower
from domain.services.response_keeper import ResponseKeeper
from domain.services.response_publication import ResponsePublications
from domain.services.turn_log import TurnLog, TurnReader
from ports.job_store import JobStore
from ports.response_store import ResponseStore

# So often, after so many seconds each, an unknown response is looked for where other processes make some.
_LOOKS_AGAIN, _LOOK_AGAIN_AFTER = 4, 0.05
# Seconds after the longest turn within which its end is written down.
_WRITTEN_WITHIN = 600.0

logger = logging.getLogger(__name__)


class _Following(msgspec.Struct, frozen=True):
    """One response that is followed here, by as many readers as there are."""

    follower: ResponseFollower
    task: asyncio.Task[None]
    readers: set[TurnReader]


class Responses:
    """All asynchronous methods raise `FailureError` (`state_unavailable`)."""

    def __init__(
        self,
        store: ResponseStore,
        job_store: JobStore,
        keeper: ResponseKeeper,
        publications: ResponsePublications,
        backends: Backends,
        rules: TurnRules,
    ) -> None:
        self._store = store
        self._job_store = job_store
        self._keeper = keeper
        self._publications = publications
        self._backends = backends
        self._rules = rules
        self._following: dict[str, _Following] = {}

    async def find(self, response_id: str, owner: str) -> ResponseRecord | None:
        """As it is now. None: there is none of that id, whatever text it is, or it is somebody else's."""
        if not is_response_id(response_id):
            return None
        if (live := self._keeper.live.get(response_id)) is not None:
            return live.record if live.record.owner == owner else None
        record = await self._store.find(response_id) or await self._find_again(response_id)
        if record is None or record.owner != owner or self._is_left_by_crash(record):
            return None
        return await self._by_job(record)

    async def input(self, record: ResponseRecord) -> bytes:
        """The items that were sent, as JSON; none, if they are not kept any more."""
        live = self._keeper.live.get(record.id)
        return live.input if live is not None else await self._store.input(record.id) or b"[]"

    async def log(self, record: ResponseRecord) -> TurnLog:
        """What was said in it so far. What is not kept any more, the backend is asked for."""
        if (live := self._keeper.live.get(record.id)) is not None:
            return live.progress.log
        events = await self._store.events(record.id)
        if not events and record.status.is_final:
            events = await self._refilled(record)
        log = TurnLog()
        for event in events:
            log.append(event, record.ended_at)
        if record.status.is_final:
            # Nothing happens if it has its end already.
            log.append(record.last_event, record.ended_at)
        return log

    @contextlib.asynccontextmanager
    async def follow(self, record: ResponseRecord) -> AsyncIterator[TurnReader]:
        """Its events from the first one on, and as they come. Nobody who reads here is waited for."""
        if (live := self._keeper.live.get(record.id)) is not None:
            yield live.progress.log.reader()
        elif record.status.is_final:
            yield (await self.log(record)).reader()
        else:
            following = self._following.get(record.id) or self._begin_following(record)
            reader = following.follower.log.reader()
            following.readers.add(reader)
            try:
                yield reader
            finally:
                following.readers.discard(reader)
                if not following.readers:
                    following.task.cancel()
                    del self._following[record.id]

    async def keep(self, asked: ResponseRequest, events: Sequence[TurnEvent]) -> None:
        """One for which nothing was delivered."""
        if asked.is_stored:
            await self._store.keep([KeptResponse(asked.record, asked.input, events)])

    async def delete(self, record: ResponseRecord) -> None:
        """Forget it; the agent remembers what was said."""
        self._keeper.forget(record.id)
        await self._store.delete(record.id)

    def close(self) -> None:
        """The service stops: what is followed here can be followed elsewhere, or later."""
        for following in self._following.values():
            for reader in following.readers:
                reader.cut()

    def _begin_following(self, record: ResponseRecord) -> _Following:
        follower = ResponseFollower(self, self._store, self._publications, record)
        following = _Following(follower, asyncio.create_task(follower.follow()), set())
        self._following[record.id] = following
        return following

    async def _find_again(self, response_id: str) -> ResponseRecord | None:
        """Another process may have told its client of a response that it is about to write down."""
        for _ in range(_LOOKS_AGAIN if self._rules.shared else 0):
            await asyncio.sleep(_LOOK_AGAIN_AFTER)
            if (record := await self._store.find(response_id)) is not None:
                return record
        return None

    def _is_left_by_crash(self, record: ResponseRecord) -> bool:
        """Whether nobody will ever write how it has ended."""
        if record.status.is_final or record.background:
            return False
        return not self._rules.shared or time.time() > record.created_at + self._rules.turn_timeout + _WRITTEN_WITHIN

    async def _by_job(self, record: ResponseRecord) -> ResponseRecord:
        """What its job says of one that has not ended yet."""
        if record.status.is_final or not record.background:
            return record
        job = await self._job_store.find(job_of(record.id))
        if job is None:
            # It may have ended since: then this is how.
            return await self._store.find(record.id) or record
        if not job.finished:
            status = ResponseStatus.IN_PROGRESS if job.attempts else ResponseStatus.QUEUED
            return msgspec.structs.replace(record, status=status)
        record = await self._store.find(record.id) or record
        if record.status.is_final:
            return record
        return record.ended(last_event(job), job.ended_at or time.time())

    async def _refilled(self, record: ResponseRecord) -> Sequence[TurnEvent]:
        """From the backend's record of its run; without its end."""
        records = self._backends.of(record.agent).run_records
        if records is None or record.run_id is None:
            return [Accepted(record.run_id)]
        try:
            found = await records.record(Turn(record.agent, None), record.run_id)
        except FailureError as error:
            logger.warning("What was said in a response cannot be read again: %s", error)
            found = None
        if found is None:
            return [Accepted(record.run_id)]
        return [Accepted(record.run_id), *(event for event in found.events if not isinstance(event, Ended | Failed))]
