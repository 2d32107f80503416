"""The record of a turn as a row of its table, and back."""

from typing import Any

import msgspec

from domain.model.events import Failed, TurnEvent
from domain.model.turn_record import TurnRecord

_encode = msgspec.json.Encoder().encode
_events_decoder = msgspec.json.Decoder(tuple[TurnEvent, ...])


def row_of(key: str, record: TurnRecord, with_texts: bool) -> dict[str, Any]:
    """By column. Without texts, all that was said stays out; that a turn has failed is no text."""
    row = {**msgspec.structs.asdict(record), "key": key, "events": None, "remembered_events": None}
    if record.events is not None and with_texts:
        row["events"], row["remembered_events"] = _encode(record.events), _encode(record.remembered_events)
    elif record.events and isinstance(record.events[-1], Failed) and not record.remembered_events:
        row["events"] = _encode(record.events[-1:])
    return row


def record_of(row: dict[str, Any]) -> TurnRecord:
    """Of a row by column. SQLite knows no truth values, only numbers."""
    events, remembered = row["events"], row["remembered_events"]
    del row["key"]
    row["deduplicated"], row["answered"] = bool(row["deduplicated"]), bool(row["answered"])
    row["events"] = None if events is None else _events_decoder.decode(events)
    row["remembered_events"] = () if remembered is None else _events_decoder.decode(remembered)
    return TurnRecord(**row)
