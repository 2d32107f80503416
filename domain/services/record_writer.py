"""What is written down of one turn while it goes on, one change after the other."""

import asyncio
import logging
from collections.abc import Mapping

import msgspec

from domain.model.failures import FailureError
from domain.model.turn_record import TurnRecord
from ports.turn_store import TurnStore

logger = logging.getLogger(__name__)


class RecordWriter:
    """One turn's record in the turn store, as far as it has come. `write` and `free` raise `FailureError`."""

    def __init__(self, turn_store: TurnStore, key: str, record: TurnRecord) -> None:
        self._store = turn_store
        self._key = key
        self._record = record
        self._noting: asyncio.Task[None] | None = None

    def accepted(self, run_id: str | None) -> None:
        """Without making the answer wait for it."""
        if run_id is not None:
            self._note(run_id=run_id)

    def unanswered(self) -> None:
        """The client that was there to get the answer did not get all of it."""
        if self._record.answered:
            self._note(answered=False)

    async def write(self, **changes: object) -> None:
        """When what was noted before is written, or cannot be."""
        await self._noted()
        self._record = msgspec.structs.replace(self._record, **changes)
        await self._store.replace(self._key, self._record, self._record.delivery_id)

    async def release(self) -> None:
        await self._noted()
        await self._store.release(self._key, self._record.delivery_id)

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
