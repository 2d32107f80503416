"""Copies the events of a response in the background into a log for its readers: as they come, if this process makes the
response; by looking, if another one makes it or if it waits."""

import asyncio
import logging
from typing import Protocol

from domain.model.failures import FailureError
from domain.model.response import ResponseRecord
from domain.services.response_publication import ResponsePublication, ResponsePublications
from domain.services.turn_log import TurnLog
from ports.response_store import ResponseStore

# Seconds between looks; as long as nothing is new, they become longer, up to the second.
LOOK_EVERY, LOOK_EVERY_AT_LAST = 0.5, 3.0
_LONGER = 1.3

logger = logging.getLogger(__name__)


class KnownResponses(Protocol):
    """What a follower asks; both raise `FailureError`."""

    async def find(self, response_id: str, owner: str) -> ResponseRecord | None:
        """As it is now; None: it was forgotten."""
        ...

    async def log(self, record: ResponseRecord) -> TurnLog:
        """What was said in it so far."""
        ...


class ResponseFollower:
    """Of one response, for all of its readers in this process. `log` is what was copied."""

    def __init__(
        self,
        responses: KnownResponses,
        store: ResponseStore,
        publications: ResponsePublications,
        record: ResponseRecord,
    ) -> None:
        self._responses = responses
        self._store = store
        self._publications = publications
        self._record = record
        self.log = TurnLog()
        self._pause = LOOK_EVERY

    async def follow(self) -> None:
        """Return when all is copied."""
        while not self.log.ended:
            publication = self._publications.find(self._record.id)
            try:
                await (self._look() if publication is None else self._copy(publication))
            except FailureError as error:
                logger.warning("A response that is followed cannot be looked at: %s", error)
                await asyncio.sleep(LOOK_EVERY)

    async def _copy(self, publication: ResponsePublication) -> None:
        published = publication.log
        for event in published.events[len(self.log.events) :]:
            self.log.append(event, published.ended_at)
        if not publication.is_over and not self.log.ended:
            await published.change()

    async def _look(self) -> None:
        record, log = self._record, self.log
        # Asked first: what had ended by then is all there.
        now = await self._responses.find(record.id, record.owner)
        ended_at = now.ended_at if now is not None else None
        new = await self._store.events(record.id, len(log.events))
        for event in new:
            log.append(event, ended_at)
        if log.ended:
            return
        if now is None:
            log.append(record.last_event)
        elif now.status.is_final:
            for event in (await self._responses.log(now)).events[len(log.events) :]:
                log.append(event, ended_at)
        elif new:
            self._pause = LOOK_EVERY
        else:
            await self._publications.wait(record.id, self._pause)
            self._pause = min(self._pause * _LONGER, LOOK_EVERY_AT_LAST)
