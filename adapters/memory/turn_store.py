"""A turn store in memory: forgotten with the process."""

import time
from collections import OrderedDict

from domain.model.turn_record import History, TurnRecord

# Turns. The oldest go first.
KEPT = 20_000


class MemoryTurnStore:
    """`ports.TurnStore`."""

    def __init__(self, kept: int = KEPT) -> None:
        self._records: OrderedDict[str, TurnRecord] = OrderedDict()
        self._kept = kept

    async def claim(self, key: str, record: TurnRecord) -> TurnRecord | None:
        earlier = self._records.get(key)
        if earlier is not None and time.time() <= earlier.forget_at:
            return earlier
        self._records[key] = record
        if len(self._records) > self._kept:
            self._records.popitem(last=False)
        return None

    async def history(self, lane: str, apart_from: str) -> History:
        now = time.time()
        there = [
            record
            for record in self._records.values()
            if record.lane == lane and record.delivery_id != apart_from and now <= record.forget_at
        ]
        last = max(there, key=lambda record: record.began_at, default=None)
        ids = frozenset(record.user_message_id for record in there if record.user_message_id is not None)
        return History(b"" if last is None else last.message_digest, ids)

    async def replace(self, key: str, record: TurnRecord, delivery_id: str) -> None:
        if self._is(key, delivery_id):
            self._records[key] = record

    async def revoke(self, key: str, delivery_id: str) -> None:
        kept = self._records.get(key)
        if kept is not None and kept.run_id is None and kept.ended_at is None:
            await self.release(key, delivery_id)

    async def release(self, key: str, delivery_id: str) -> None:
        if self._is(key, delivery_id):
            del self._records[key]

    def _is(self, key: str, delivery_id: str) -> bool:
        kept = self._records.get(key)
        return kept is not None and kept.delivery_id == delivery_id
