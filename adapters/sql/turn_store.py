"""A turn store in the database: what was delivered is known after a restart, and to other processes."""

import time
from typing import Any

import msgspec
from sqlalchemy import bindparam, select

from adapters.sql.database import Database, was_done
from adapters.sql.schema import turns
from domain.model.events import Failed, TurnEvent
from domain.model.turn_record import History, TurnRecord

# Seconds between two looks for records that are too old.
_SWEEP_EVERY = 300.0

_encode = msgspec.json.Encoder().encode
_events_decoder = msgspec.json.Decoder(tuple[TurnEvent, ...])

_FIND = turns.select().where(turns.c.key == bindparam("sought"))
_SAID = (
    select(turns.c.message_digest, turns.c.user_message_id)
    .where(
        turns.c.lane == bindparam("sought"),
        turns.c.delivery_id != bindparam("of_delivery"),
        turns.c.forget_at > bindparam("now"),
    )
    .order_by(turns.c.began_at.desc())
    .limit(200)
)
_OF_DELIVERY = (turns.c.key == bindparam("sought")) & (turns.c.delivery_id == bindparam("of_delivery"))
_FREE = turns.delete().where(_OF_DELIVERY)
_TAKE_BACK = _FREE.where(turns.c.run_id.is_(None), turns.c.ended_at.is_(None))
_REPLACE = (
    turns.update()
    .where(_OF_DELIVERY)
    .values({column.name: bindparam(column.name) for column in turns.columns if not column.primary_key})
)


class SqlTurnStore:
    """`ports.TurnStore`. `answers_kept_for` (seconds): for how long the texts of answers stay; 0: none is written."""

    def __init__(self, database: Database, answers_kept_for: float) -> None:
        self._database = database
        self._answers_kept_for = answers_kept_for
        self._sweep_at = 0.0
        self._take = database.replacement(turns, where=turns.c.forget_at < bindparam("now"))

    async def claim(self, key: str, record: TurnRecord) -> TurnRecord | None:
        async with self._database.transaction() as connection:
            now = time.time()
            if now > self._sweep_at:
                self._sweep_at = now + _SWEEP_EVERY
                await connection.execute(turns.delete().where(turns.c.forget_at < now))
                old_answers = turns.c.ended_at < now - self._answers_kept_for
                await connection.execute(turns.update().where(old_answers).values(events=None, remembered_events=None))
            if await was_done(connection, self._take, {**self._row(key, record), "now": now}):
                return None
            found = (await connection.execute(_FIND, {"sought": key})).mappings().one()
        return _record(dict(found))

    async def history(self, lane: str, apart_from: str) -> History:
        asked = {"sought": lane, "of_delivery": apart_from, "now": time.time()}
        async with self._database.reading() as connection:
            found = (await connection.execute(_SAID, asked)).all()
        ids = frozenset(user_message_id for _, user_message_id in found if user_message_id is not None)
        return History(found[0][0] if found else b"", ids)

    async def replace(self, key: str, record: TurnRecord, delivery_id: str) -> None:
        row = self._row(key, record)
        del row["key"]
        async with self._database.transaction() as connection:
            await connection.execute(_REPLACE, {**row, "sought": key, "of_delivery": delivery_id})

    async def revoke(self, key: str, delivery_id: str) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(_TAKE_BACK, {"sought": key, "of_delivery": delivery_id})

    async def release(self, key: str, delivery_id: str) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(_FREE, {"sought": key, "of_delivery": delivery_id})

    def _row(self, key: str, record: TurnRecord) -> dict[str, Any]:
        row = {**msgspec.structs.asdict(record), "key": key, "events": None, "remembered_events": None}
        if record.events is not None and self._answers_kept_for > 0:
            row["events"], row["remembered_events"] = _encode(record.events), _encode(record.remembered_events)
        elif record.events and isinstance(record.events[-1], Failed) and not record.remembered_events:
            # There is nothing in it that anybody has said.
            row["events"] = _encode(record.events[-1:])
        return row


def _record(row: dict[str, Any]) -> TurnRecord:
    del row["key"]
    events, kept = row.pop("events"), row.pop("remembered_events")
    return TurnRecord(
        **row,
        events=None if events is None else _events_decoder.decode(events),
        remembered_events=() if kept is None else _events_decoder.decode(kept),
    )
