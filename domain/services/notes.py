"""What is written down of one turn while it goes on, one change after the other."""

import asyncio
import logging
from collections.abc import Mapping

import msgspec

from domain.model.failures import BackendError
from domain.model.turn_record import TurnRecord
from ports.turn_ledger import TurnLedger

logger = logging.getLogger(__name__)


class Notes:
    """One turn's record in the ledger, as far as it has come. `write` and `free` raise `BackendError`."""

    def __init__(self, ledger: TurnLedger, key: str, record: TurnRecord) -> None:
        self._ledger = ledger
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
        await self._ledger.replace(self._key, self._record, self._record.delivery_id)

    async def free(self) -> None:
        await self._noted()
        await self._ledger.free(self._key, self._record.delivery_id)

    def _note(self, **changes: object) -> None:
        self._noting = asyncio.create_task(self._write_after(self._noting, changes))

    async def _write_after(self, before: "asyncio.Task[None] | None", changes: Mapping[str, object]) -> None:
        if before is not None:
            await before
        self._record = msgspec.structs.replace(self._record, **changes)
        try:
            await self._ledger.replace(self._key, self._record, self._record.delivery_id)
        except BackendError as error:
            # A run can still be found by its delivery id.
            logger.warning("Something about a turn could not be written down: %s", error)

    async def _noted(self) -> None:
        if self._noting is not None:
            await self._noting
            self._noting = None
