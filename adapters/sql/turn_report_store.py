"""Reports of turns in the database, so that each process can show those of all."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from adapters.sql.changes import done, nothing, read
from adapters.sql.database import Database
from adapters.sql.group_commit import Change, Statements
from domain.model.ids import id_of_time
from domain.model.turn_report import TurnReport, TurnStage
from ports.turn_reports import KEPT_FOR, LOST_AFTER, MOST_KEPT

# Seconds between two looks for reports that are too old.
_SWEEP_EVERY = 60.0

_COLUMNS = ("id", "holder", "seen_at", "has_ended", "report")
_RENEWED = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "id")
_RECENT = """
    SELECT report, seen_at FROM lettabot_turn_reports WHERE id >= :first ORDER BY id DESC LIMIT :most
"""
_FIND = "SELECT report, seen_at FROM lettabot_turn_reports WHERE id = :id"
_ASK = "UPDATE lettabot_turn_reports SET is_to_stop = TRUE WHERE id = :id AND NOT has_ended"
_TO_STOP = "SELECT id FROM lettabot_turn_reports WHERE holder = :holder AND NOT has_ended AND is_to_stop"
# A turn that goes on is told again and again: one that is not told of any more is over as well.
_FORGET = "DELETE FROM lettabot_turn_reports WHERE id < :first AND (has_ended OR seen_at < :seen_before)"
_FORGET_MANY = """
    DELETE FROM lettabot_turn_reports WHERE has_ended AND id <= (
        SELECT id FROM lettabot_turn_reports ORDER BY id DESC LIMIT 1 OFFSET :most
    )
"""

_decoder = msgspec.json.Decoder(TurnReport)


class SqlTurnReportStore:
    """`ports.TurnReportStore`, of one process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._holder = secrets.token_hex(8)
        self._sweep_at = 0.0

    async def write(self, reports: Sequence[TurnReport]) -> None:
        now = time.time()
        rows = [
            {
                "id": report.id,
                "holder": self._holder,
                "seen_at": now,
                "has_ended": report.stage is TurnStage.ENDED,
                "report": msgspec.json.encode(report),
            }
            for report in reports
        ]
        await self._database.carry_out(_write(rows))
        if now > self._sweep_at:
            self._sweep_at = now + _SWEEP_EVERY
            values = {"first": id_of_time("turn", now - KEPT_FOR), "seen_before": now - LOST_AFTER}
            await self._database.carry_out(done((_FORGET, values), (_FORGET_MANY, {"most": MOST_KEPT}), may_wait=True))

    async def recent(self, since: float, most: int) -> Sequence[TurnReport]:
        wanted = {"first": id_of_time("turn", since), "most": most}
        return [_report(*row) for row in await self._database.carry_out(read(_RECENT, wanted))]

    async def find(self, turn_id: str) -> TurnReport | None:
        rows = await self._database.carry_out(read(_FIND, {"id": turn_id}))
        return _report(*rows[0]) if rows else None

    async def ask_to_stop(self, turn_id: str) -> None:
        await self._database.carry_out(done((_ASK, {"id": turn_id})))

    async def to_stop(self) -> Sequence[str]:
        return [id_ for (id_,) in await self._database.carry_out(read(_TO_STOP, {"holder": self._holder}))]


def _write(rows: Sequence[Mapping[str, Any]]) -> Change[None]:
    """One statement for each hundred: between two statements, the thread of the database and all others wait."""

    def carry_out(statements: Statements) -> Callable[[], None]:
        for begin in range(0, len(rows), 100):
            part = rows[begin : begin + 100]
            places = ", ".join(
                f"({', '.join(f':{name}{number}' for name in _COLUMNS)}, FALSE)" for number in range(len(part))
            )
            sql = f"""
                INSERT INTO lettabot_turn_reports ({", ".join(_COLUMNS)}, is_to_stop) VALUES {places}
                ON CONFLICT (id) DO UPDATE SET {_RENEWED}
            """  # noqa: S608
            statements.send(sql, {f"{name}{n}": row[name] for n, row in enumerate(part) for name in _COLUMNS})
        return nothing

    return Change(carry_out, may_wait=True)


def _report(encoded: bytes, seen_at: float) -> TurnReport:
    report = _decoder.decode(encoded)
    if report.stage is not TurnStage.ENDED and seen_at < time.time() - LOST_AFTER:
        return msgspec.structs.replace(report, stage=TurnStage.LOST)
    return report
