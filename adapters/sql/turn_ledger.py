"""A turn ledger in the database: what was delivered is known after a restart, and to other processes."""

import time
from typing import Any

import msgspec

from adapters.sql.database import Database
from adapters.sql.schema import turns
from domain.model.events import TurnEvent
from domain.model.turn_record import TurnRecord

# Seconds between two looks for records that are too old.
_SWEEP_EVERY = 300.0

_encode = msgspec.json.Encoder().encode
_events_decoder = msgspec.json.Decoder(tuple[TurnEvent, ...])


class SqlTurnLedger:
    """`ports.TurnLedger`. `answers_kept_for` (seconds): for how long the texts of answers stay; 0: none is written."""

    def __init__(self, database: Database, answers_kept_for: float) -> None:
        self._database = database
        self._answers_kept_for = answers_kept_for
        self._sweep_at = 0.0

    async def take(self, key: str, record: TurnRecord) -> TurnRecord | None:
        async with self._database.transaction() as connection:
            now = time.time()
            if now > self._sweep_at:
                self._sweep_at = now + _SWEEP_EVERY
                await connection.execute(turns.delete().where(turns.c.forget_at < now))
                old_answers = turns.c.ended_at < now - self._answers_kept_for
                await connection.execute(turns.update().where(old_answers).values(events=None, kept=None))
            else:
                await connection.execute(turns.delete().where(turns.c.key == key, turns.c.forget_at < now))
            taken = await self._database.insert_if_absent(connection, turns, self._row(key, record))
            if taken:
                return None
            found = (await connection.execute(turns.select().where(turns.c.key == key))).mappings().one()
        return _record(dict(found))

    async def replace(self, key: str, record: TurnRecord) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(turns.delete().where(turns.c.key == key))
            await connection.execute(turns.insert().values(self._row(key, record)))

    async def free(self, key: str) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(turns.delete().where(turns.c.key == key))

    def _row(self, key: str, record: TurnRecord) -> dict[str, Any]:
        row = {**msgspec.structs.asdict(record), "key": key, "events": None, "kept": None}
        if record.events is not None and self._answers_kept_for > 0:
            row["events"], row["kept"] = _encode(record.events), _encode(record.kept)
        return row


def _record(row: dict[str, Any]) -> TurnRecord:
    del row["key"]
    events, kept = row.pop("events"), row.pop("kept")
    return TurnRecord(
        **row,
        events=None if events is None else _events_decoder.decode(events),
        kept=() if kept is None else _events_decoder.decode(kept),
    )
