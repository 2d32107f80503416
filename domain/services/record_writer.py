"""Writes down what becomes of one turn, one change after the other, so that other processes know it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from domain.model.events import Failed
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.turn_record import TurnRecord
from domain.services.audience import Audience
from domain.services.turn_log import TurnLog
from domain.services.turn_progress import TurnProgress
from ports.turn_store import TurnStore

logger = logging.getLogger(__name__)


class RecordWriter:
    """Of one record in the turn store. `write_later` tries a write again until the state takes it."""

    def __init__(
        self,
        store: TurnStore,
        key: str,
        record: TurnRecord,
        write_later: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        self._store = store
        self._key = key
        self._record = record
        self._write_later = write_later
        self._noting: asyncio.Task[None] | None = None

    def note_run(self, run_id: str | None) -> None:
        """The backend has named the run. The answer does not wait until that is written."""
        if run_id is not None:
            self._note(run_id=run_id)

    def note_unanswered(self) -> None:
        """The client that was there to get the answer did not get all of it."""
        if self._record.answered:
            self._note(answered=False)

    async def write(self, **changes: object) -> None:
        """Change the record now. Raises `FailureError`."""
        await self._noted()
        self._record = msgspec.structs.replace(self._record, **changes)
        await self._store.replace(self._key, self._record, self._record.delivery_id)

    async def write_end(self, progress: TurnProgress, audience: Audience, failure: Failure | None) -> None:
        """Write down how the turn has ended, now or later. If nothing was delivered, the record goes."""
        if failure is not None and failure.delivery is Delivery.NO:
            await self._now_or_later(self._release)
            return
        end = [] if failure is None else [Failed(failure)]
        events = TurnLog([*progress.log.events, *end]).folded().events
        await self._write_answered(
            audience,
            audience.highest_retry_count,
            run_id=progress.run_id,
            ended_at=time.time(),
            events=tuple(events),
            remembered_events=tuple(progress.remembered),
        )

    async def write_replayed(self, audience: Audience) -> None:
        """Write down, now or later, that one more request was there to get the answer."""
        await self._write_answered(audience, max(self._record.highest_retry_answered, audience.highest_retry_count))

    async def _write_answered(self, audience: Audience, retry_count: int, **changes: object) -> None:
        # Whether it is answered is seen when it is written, which may be later.
        await self._now_or_later(
            lambda: self.write(
                answered=audience.is_answered or audience.is_watched, highest_retry_answered=retry_count, **changes
            )
        )

    async def _release(self) -> None:
        await self._noted()
        await self._store.release(self._key, self._record.delivery_id)

    async def _now_or_later(self, write: Callable[[], Awaitable[None]]) -> None:
        """A turn that has ended has ended, whenever that can be written down."""
        try:
            await write()
        except FailureError as error:
            logger.warning("The end of a turn could not be written down yet: %s", error)
            self._write_later(write)

    def _note(self, **changes: object) -> None:
        self._noting = asyncio.create_task(self._write_after(self._noting, changes))

    async def _write_after(self, before: "asyncio.Task[None] | None", changes: Mapping[str, object]) -> None:
        if before is not None:
            await before
        self._record = msgspec.structs.replace(self._record, **changes)
        try:
            await self._store.replace(self._key, self._record, self._record.delivery_id)
        except FailureError as error:
            # A run can still be found by its delivery id.
            logger.warning("Something about a turn could not be written down: %s", error)

    async def _noted(self) -> None:
        if self._noting is not None:
            await self._noting
            self._noting = None
