"""A turn store of a process that can die, and whose database can fail."""

import asyncio

import msgspec

from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.turn_record import History, TurnRecord
from ports.turn_store import TurnStore

BROKEN = Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO, "the disk is full")


class MortalTurnStore:
    """Writes to the turn store behind it. `dead`: nothing that its process wants to write is written any more.
    `dies_after_taking`: it never gets any further than that. `writes_for`: seconds that it takes to take a key.
    `forgets_answers`: none is kept. `loses_replies`: it takes keys, but cannot say so."""

    def __init__(self, kept: TurnStore) -> None:
        self.dead = False
        self.broken = False
        self.dies_after_taking = False
        self.writes_for = 0.0
        self.forgets_answers = False
        self.loses_replies = False
        self._kept = kept

    async def claim(self, key: str, record: TurnRecord) -> TurnRecord | None:
        self._check()
        taken = await self._kept.claim(key, record)
        await asyncio.sleep(self.writes_for)
        if self.loses_replies:
            raise FailureError(BROKEN)
        if self.dies_after_taking:
            await asyncio.Event().wait()
        return taken

    async def history(self, lane: str, apart_from: str) -> History:
        self._check()
        return await self._kept.history(lane, apart_from)

    async def replace(self, key: str, record: TurnRecord, delivery_id: str) -> None:
        self._check()
        if self.forgets_answers:
            record = msgspec.structs.replace(record, events=None, remembered_events=())
        if not self.dead:
            await self._kept.replace(key, record, delivery_id)

    async def revoke(self, key: str, delivery_id: str) -> None:
        self._check()
        if self.loses_replies:
            raise FailureError(BROKEN)
        if not self.dead:
            await self._kept.revoke(key, delivery_id)

    async def release(self, key: str, delivery_id: str) -> None:
        self._check()
        if not self.dead:
            await self._kept.release(key, delivery_id)

    def _check(self) -> None:
        if self.broken:
            raise FailureError(BROKEN)
