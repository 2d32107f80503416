"""A turn store in the database: what was delivered is known after a restart, and to other processes."""

import time

from adapters.sql import turn_statements
from adapters.sql.database import Database
from adapters.sql.turn_row import record_of, row_of
from domain.model.turn_record import History, TurnRecord

# Seconds between two looks for records that are too old.
_SWEEP_EVERY = 300.0


class SqlTurnStore:
    """`ports.TurnStore`. `answers_kept_for` (seconds): for how long the texts of answers stay; 0: none is written."""

    def __init__(self, database: Database, answers_kept_for: float) -> None:
        self._database = database
        self._answers_kept_for = answers_kept_for
        self._sweep_at = 0.0

    async def claim(self, key: str, record: TurnRecord) -> TurnRecord | None:
        await self._sweep()
        row = row_of(key, record, with_texts=self._answers_kept_for > 0)
        found = await self._database.carry_out(turn_statements.claim({**row, "now": time.time()}))
        return None if found is None else record_of(turn_statements.columns(found))

    async def history(self, lane: str, apart_from: str) -> History:
        found = await self._database.carry_out(turn_statements.history(lane, apart_from, time.time()))
        ids = frozenset(user_message_id for _, user_message_id in found if user_message_id is not None)
        return History(found[0][0] if found else b"", ids)

    async def replace(self, key: str, record: TurnRecord, delivery_id: str) -> None:
        row = row_of(key, record, with_texts=self._answers_kept_for > 0)
        await self._database.carry_out(turn_statements.replace({**row, "of_delivery": delivery_id}))
        await self._sweep()

    async def revoke(self, key: str, delivery_id: str) -> None:
        await self._database.carry_out(turn_statements.revoke(key, delivery_id))

    async def release(self, key: str, delivery_id: str) -> None:
        await self._database.carry_out(turn_statements.release(key, delivery_id))

    async def _sweep(self) -> None:
        now = time.time()
        if now > self._sweep_at:
            self._sweep_at = now + _SWEEP_EVERY
            await self._database.carry_out(turn_statements.sweep(now, now - self._answers_kept_for))
