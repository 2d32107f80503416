"""A response store in the database. What was said is kept in the pieces in which it was written."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from adapters.sql import response_statements
from adapters.sql.database import Database
from domain.model.events import TurnEvent
from domain.model.lane import name_of
from domain.model.response import KeptResponse, ResponseRecord, first_id_at, is_response_id
from ports.response_store import MOST_BYTES, MOST_RESPONSES

# Seconds between two looks for responses that are too old, and how many are looked at, at a time, if they are too many.
_SWEEP_EVERY = 300.0
_AT_ONCE = 1_000
# How many are written by one statement.
_ROWS_AT_ONCE = 100

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(ResponseRecord)
_events_decoder = msgspec.json.Decoder(list[TurnEvent])


class SqlResponseStore:
    """`ports.ResponseStore`. Responses stay for `kept_for`, what was said in them for `texts_kept_for` (seconds, from
    their beginning); 0: no text is written."""

    def __init__(self, database: Database, kept_for: float, texts_kept_for: float) -> None:
        self._database = database
        self._kept_for = kept_for
        self._texts_kept_for = min(texts_kept_for, kept_for)
        self._sweep_at = 0.0

    async def keep(self, responses: Sequence[KeptResponse]) -> None:
        rows = [self._row(kept) for kept in responses]
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            await self._database.carry_out(response_statements.keep(rows[start : start + _ROWS_AT_ONCE]))
        await self._sweep()

    async def find(self, response_id: str) -> ResponseRecord | None:
        rows = await self._database.carry_out(response_statements.find(response_id))
        return _decoder.decode(rows[0][0]) if rows else None

    async def input(self, response_id: str) -> bytes | None:
        rows = await self._database.carry_out(response_statements.find_input(response_id))
        return None if not rows or rows[0][0] is None else bytes(rows[0][0])

    async def change(self, record: ResponseRecord) -> None:
        await self._database.carry_out(response_statements.change(record.id, _encode(record)))

    async def add_events(self, response_id: str, position: int, events: Sequence[TurnEvent]) -> None:
        if self._texts_kept_for > 0:
            change = response_statements.add_events(response_id, position, _encode(events))
            await self._database.carry_out(change)

    async def events(self, response_id: str, position: int = 0) -> Sequence[TurnEvent]:
        rows = await self._database.carry_out(response_statements.find_events(response_id, position))
        found: list[TurnEvent] = []
        at = rows[0][0] if rows else 0
        for begins_at, encoded in rows:
            if begins_at != at:
                # One is missing: what follows cannot be told.
                break
            piece = _events_decoder.decode(encoded)
            found += piece
            at += len(piece)
        return found[max(0, position - rows[0][0]) :] if rows else found

    async def delete(self, response_id: str) -> None:
        await self._database.carry_out(response_statements.delete(response_id))

    async def head(self, lane: str) -> str | None:
        rows = await self._database.carry_out(response_statements.head(lane))
        if not rows:
            return None
        return str(rows[0][0]) if is_response_id(rows[0][0]) else ""

    async def move_head(self, lane: str, response_id: str) -> None:
        if response_id:
            change = response_statements.move_head(lane, response_id)
        else:
            # A moment that is written as ids are, so that it is forgotten when they are.
            change = response_statements.leave_head(lane, first_id_at(time.time()))
        await self._database.carry_out(change)

    async def is_used(self) -> bool:
        return len(await self._database.carry_out(response_statements.any_head())) > 0

    def _row(self, kept: KeptResponse) -> dict[str, Any]:
        with_texts = self._texts_kept_for > 0
        said = _encode(kept.events) if kept.events and with_texts else None
        return {
            "id": kept.record.id,
            "lane": name_of(kept.record.lane),
            "record": _encode(kept.record),
            "input": kept.input if with_texts else None,
            "size": len(kept.input) + len(said or b"") if with_texts else 0,
            "events": said,
        }

    async def _sweep(self) -> None:
        now = time.time()
        if now < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP_EVERY
        old, silent = first_id_at(now - self._kept_for), first_id_at(now - self._texts_kept_for)
        await self._database.carry_out(response_statements.sweep(old, silent))
        [(count, size)] = await self._database.carry_out(response_statements.totals())
        while count > MOST_RESPONSES or size > MOST_BYTES:
            rows = await self._database.carry_out(response_statements.oldest(_AT_ONCE))
            forgotten = 0
            while forgotten < len(rows) and (count > MOST_RESPONSES or size > MOST_BYTES):
                count, size = count - 1, size - rows[forgotten][1]
                forgotten += 1
            # What comes right after the last of them stays.
            await self._database.carry_out(response_statements.forget(rows[forgotten - 1][0] + "~"))
