"""Writes down what becomes of one turn, so that other processes know it. Nobody waits for these writes."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import msgspec

from domain.model.events import Failed
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.turn_record import TurnRecord
from domain.services.audience import Audience
from domain.services.turn_progress import TurnProgress
from ports.turn_store import TurnStore

# Seconds after which the name of a run is written. Most turns that are shorter need no write of their own for it; and
# the run of a turn whose process dies before is found by its delivery id.
_RUN_AFTER = 0.5

logger = logging.getLogger(__name__)


class RecordWriter:
    """Of one record in the turn store. `write_later` begins a write soon, and tries it again until the state takes it.

    The store carries out writes in the order in which they begin."""

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
        self._waiting: asyncio.TimerHandle | None = None
        self._noting: asyncio.Task[None] | None = None

    def note_run(self, run_id: str | None) -> None:
        """The backend has named the run."""
        if run_id is not None:
            self._record = msgspec.structs.replace(self._record, run_id=run_id)
            self._waiting = asyncio.get_running_loop().call_later(_RUN_AFTER, self._note)

    def note_unanswered(self) -> None:
        """The client that was there to get the answer did not get all of it."""
        if self._record.answered:
            self._record = msgspec.structs.replace(self._record, answered=False)
            self._note()

    async def write(self, **changes: object) -> None:
        """Change the record now. Raises `FailureError`."""
        self._forget_note()
        self._record = msgspec.structs.replace(self._record, **changes)
        await self._store.replace(self._key, self._record, self._record.delivery_id)

    def write_end(self, progress: TurnProgress, audience: Audience, failure: Failure | None) -> None:
        """Write down how the turn has ended. If nothing was delivered, the record goes."""
        if failure is not None and failure.delivery is Delivery.NO:
            self._forget_note()
            self._write_later(lambda: self._store.release(self._key, self._record.delivery_id))
            return
        end = [] if failure is None else [Failed(failure)]
        self._write_answered(
            audience,
            audience.highest_retry_count,
            run_id=progress.run_id,
            ended_at=progress.log.ended_at if progress.log.ended else time.time(),
            events=tuple(progress.as_kept([*progress.log.events, *end])),
            remembered_events=tuple(progress.remembered),
        )

    def write_replayed(self, audience: Audience) -> None:
        """Write down that one more request was there to get the answer."""
        self._write_answered(audience, max(self._record.highest_retry_answered, audience.highest_retry_count))

    def _write_answered(self, audience: Audience, retry_count: int, **changes: object) -> None:
        # Whether it is answered is seen when it is written, which may be later.
        self._write_later(
            lambda: self.write(
                answered=audience.is_answered or audience.is_watched, highest_retry_answered=retry_count, **changes
            )
        )

    def _note(self) -> None:
        self._forget_note()
        self._noting = asyncio.create_task(self._write_note())

    async def _write_note(self) -> None:
        try:
            await self._store.replace(self._key, self._record, self._record.delivery_id)
        except FailureError as error:
            logger.warning("Something about a turn could not be written down: %s", error)

    def _forget_note(self) -> None:
        """What it would have written goes with the next write."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
