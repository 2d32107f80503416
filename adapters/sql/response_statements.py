"""The statements of responses. As in `turn_statements.py`, they go to the driver directly: each response needs some."""

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.sql.changes import done, read
from adapters.sql.group_commit import Change, Row

_COLUMNS = ("id", "lane", "record", "input", "events", "size")
_KEPT_OVER = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in ("id", "lane"))
_CHANGE = "UPDATE lettabot_responses SET record = :record WHERE id = :id"
_FIND = "SELECT record FROM lettabot_responses WHERE id = :id"
_INPUT = "SELECT input FROM lettabot_responses WHERE id = :id"
_GROW = "UPDATE lettabot_responses SET size = size + :size WHERE id = :id"
_ADD_EVENTS = """
    INSERT INTO lettabot_response_events (response_id, position, events) VALUES (:id, :position, :events)
    ON CONFLICT (response_id, position) DO NOTHING
"""
_EVENTS = """
    SELECT 0 AS position, events FROM lettabot_responses WHERE id = :id AND events IS NOT NULL
    UNION ALL SELECT position, events FROM lettabot_response_events WHERE response_id = :id AND position >= coalesce((
        SELECT max(position) FROM lettabot_response_events WHERE response_id = :id AND position <= :position
    ), 0) ORDER BY position
"""
_DELETE = "DELETE FROM lettabot_responses WHERE id = :id"
_DELETE_EVENTS = "DELETE FROM lettabot_response_events WHERE response_id = :id"
_ITEMS = """
    SELECT id, made_at, content FROM lettabot_conversation_items WHERE conversation_id = :id ORDER BY number
"""
_HEAD = "SELECT response_id FROM lettabot_conversation_heads WHERE lane = :lane"
_MOVE_HEAD = """
    INSERT INTO lettabot_conversation_heads (lane, response_id) VALUES (:lane, :id)
    ON CONFLICT (lane) DO UPDATE SET response_id = excluded.response_id
"""
_LEAVE_HEAD = "UPDATE lettabot_conversation_heads SET response_id = :id WHERE lane = :lane"
_ANY_HEAD = "SELECT 1 FROM lettabot_conversation_heads LIMIT 1"

# Ids of responses that were made later sort later.
_FORGET = "DELETE FROM lettabot_responses WHERE id < :before"
_FORGET_INPUT = "UPDATE lettabot_responses SET input = NULL, events = NULL, size = 0 WHERE id < :before AND size > 0"
_FORGET_EVENTS = "DELETE FROM lettabot_response_events WHERE response_id < :before"
_FORGET_HEADS = "DELETE FROM lettabot_conversation_heads WHERE response_id < :before"
_TOTALS = "SELECT count(*), coalesce(sum(size), 0) FROM lettabot_responses"
_OLDEST = "SELECT id, size FROM lettabot_responses ORDER BY id LIMIT :most"


def keep(rows: Sequence[Mapping[str, Any]]) -> Change[None]:
    """Write these responses, each with what was said in it, if that is all there; no id comes twice.

    In one statement: between two of them, the thread of the database and all others wait for each other."""
    places = ", ".join(f"({', '.join(f':{name}{number}' for name in _COLUMNS)})" for number in range(len(rows)))
    sql = f"""
        INSERT INTO lettabot_responses ({", ".join(_COLUMNS)}) VALUES {places}
        ON CONFLICT (id) DO UPDATE SET {_KEPT_OVER}
    """  # noqa: S608
    values = {f"{name}{number}": row[name] for number, row in enumerate(rows) for name in _COLUMNS}
    return done((sql, values))


def change(response_id: str, record: bytes) -> Change[None]:
    """Write the record of a response that is there."""
    return done((_CHANGE, {"id": response_id, "record": record}))


def find(response_id: str) -> Change[Sequence[Row]]:
    """Its record."""
    return read(_FIND, {"id": response_id})


def find_input(response_id: str) -> Change[Sequence[Row]]:
    """The items that were sent."""
    return read(_INPUT, {"id": response_id})


def add_events(response_id: str, position: int, events: bytes) -> Change[None]:
    """Keep a piece, unless there is one that begins there."""
    values = {"id": response_id, "position": position, "events": events}
    return done((_ADD_EVENTS, values), (_GROW, {"id": response_id, "size": len(events)}))


def find_events(response_id: str, position: int) -> Change[Sequence[Row]]:
    """The pieces from the one on that has the event of that position."""
    return read(_EVENTS, {"id": response_id, "position": position})


def delete(response_id: str) -> Change[None]:
    """Delete a response, and what was said in it."""
    return done((_DELETE, {"id": response_id}), (_DELETE_EVENTS, {"id": response_id}))


def find_items(conversation_id: str) -> Change[Sequence[Row]]:
    """Of a conversation that a client has made. There may be thousands."""
    return read(_ITEMS, {"id": conversation_id})


def head(lane: str) -> Change[Sequence[Row]]:
    """The last response of a conversation."""
    return read(_HEAD, {"lane": lane})


def any_head() -> Change[Sequence[Row]]:
    """One row, if there is any."""
    return read(_ANY_HEAD, {})


def move_head(lane: str, response_id: str) -> Change[None]:
    """Write the last response of a conversation."""
    return done((_MOVE_HEAD, {"lane": lane, "id": response_id}))


def leave_head(lane: str, moment: str) -> Change[None]:
    """Write that something else was said at that moment, if the conversation has a last response."""
    return done((_LEAVE_HEAD, {"lane": lane, "id": moment}))


def sweep(before: str, texts_before: str) -> Change[None]:
    """Delete responses with ids before the one, and what was said in those before the other."""
    return done(
        (_FORGET, {"before": before}),
        (_FORGET_HEADS, {"before": before}),
        (_FORGET_INPUT, {"before": texts_before}),
        (_FORGET_EVENTS, {"before": texts_before}),
    )


def totals() -> Change[Sequence[Row]]:
    """How many responses there are, and how many bytes were said in them."""
    return read(_TOTALS, {})


def oldest(most: int) -> Change[Sequence[Row]]:
    """The ids and sizes of the oldest ones."""
    return read(_OLDEST, {"most": most})


def forget(before: str) -> Change[None]:
    """Delete all of the responses with ids before this one."""
    return done((_FORGET, {"before": before}), (_FORGET_EVENTS, {"before": before}))
