"""The statements that every turn, or every new chat, needs. They go to the driver directly: through SQLAlchemy, each
of them would take twenty times as long."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from adapters.sql.changes import done, nothing, read
from adapters.sql.group_commit import Change, Row, Rows, Statements
from adapters.sql.schema import turns

_COLUMNS = [column.name for column in turns.columns]
_VALUES = ", ".join(f":{name}" for name in _COLUMNS)
_REPLACED = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "key")
# Where the record of an old turn is that means nothing any more, the new one takes its place.
_UNLESS_THERE = f"""
    ON CONFLICT (key) DO UPDATE SET {_REPLACED} WHERE lettabot_turns.forget_at < :now RETURNING key
"""
_CLAIM = f"INSERT INTO lettabot_turns ({', '.join(_COLUMNS)}) VALUES ({_VALUES}) {_UNLESS_THERE}"  # noqa: S608
_FIND = f"SELECT {', '.join(_COLUMNS)} FROM lettabot_turns WHERE key = :key"  # noqa: S608
_OF_DELIVERY = "key = :key AND delivery_id = :of_delivery"
_REPLACE = f"""
    UPDATE lettabot_turns SET {", ".join(f"{name} = :{name}" for name in _COLUMNS if name != "key")}
    WHERE {_OF_DELIVERY}
"""  # noqa: S608
_RELEASE = f"DELETE FROM lettabot_turns WHERE {_OF_DELIVERY}"  # noqa: S608
_REVOKE = f"{_RELEASE} AND run_id IS NULL AND ended_at IS NULL"
_HISTORY = """
    SELECT message_digest, user_message_id FROM lettabot_turns
    WHERE lane = :lane AND delivery_id <> :of_delivery AND forget_at > :now ORDER BY began_at DESC LIMIT 200
"""
_FORGET_RECORDS = "DELETE FROM lettabot_turns WHERE forget_at < :now"
_FORGET_TEXTS = "UPDATE lettabot_turns SET events = NULL, remembered_events = NULL WHERE ended_at < :texts_before"

_IN_LANE = """
    SELECT count(*) FILTER (WHERE NOT crashed) AS live,
        count(*) FILTER (WHERE NOT crashed AND holder <> :holder) AS of_others,
        count(*) FILTER (WHERE crashed) AS of_crashed
    FROM lettabot_tickets WHERE lane = :lane
"""
_ENQUEUE = """
    INSERT INTO lettabot_tickets (id, lane, key, holder, crashed) VALUES (:id, :lane, :key, :holder, FALSE)
    RETURNING number
"""
# The same at once, for a driver that tells nothing before all is sent.
_ENTER = f"""
    WITH in_lane AS MATERIALIZED ({_IN_LANE}), ticket AS ({_ENQUEUE})
    SELECT number, live, of_others, of_crashed, FALSE FROM ticket, in_lane
"""  # noqa: S608
_ENTER_AND_CLAIM = f"""
    WITH in_lane AS MATERIALIZED ({_IN_LANE}), ticket AS ({_ENQUEUE}), claim AS (
        INSERT INTO lettabot_turns ({", ".join(_COLUMNS)}) SELECT {_VALUES} FROM in_lane WHERE live = 0
        {_UNLESS_THERE}
    )
    SELECT number, live, of_others, of_crashed, EXISTS (SELECT FROM claim) FROM ticket, in_lane
"""  # noqa: S608
_OF_OTHERS = "SELECT 1 FROM lettabot_tickets WHERE lane = :lane AND holder <> :holder AND NOT crashed"
_OTHERS_BEFORE = f"{_OF_OTHERS} AND number < :number LIMIT 1"
_CRASHED_BEFORE = "SELECT 1 FROM lettabot_tickets WHERE lane = :lane AND number < :number AND crashed LIMIT 1"
_DELETE_CRASHED = "DELETE FROM lettabot_tickets WHERE lane = :lane AND number < :number AND crashed"
_DELETE = "DELETE FROM lettabot_tickets WHERE id = :id"
_OTHERS = f"{_OF_OTHERS} LIMIT 1"
_WAITERS = f"{_OF_OTHERS} AND key = :key LIMIT 1"
_REMOTE_LENGTHS = """
    SELECT lane, count(*) FROM lettabot_tickets WHERE holder <> :holder AND NOT crashed GROUP BY lane
"""
_HOLDERS = "SELECT DISTINCT holder FROM lettabot_tickets WHERE NOT crashed AND holder <> :holder"
_MARK_CRASHED = "UPDATE lettabot_tickets SET crashed = TRUE WHERE holder = :holder"

_KEY_OF_CHAT = "agent_id = :agent_id AND chat = :chat"
_FIND_CONVERSATION = f"SELECT conversation FROM lettabot_conversations WHERE {_KEY_OF_CHAT}"  # noqa: S608
_CONVERSATIONS_OF_CHAT = "SELECT agent_id, conversation FROM lettabot_conversations WHERE chat = :chat"
_KEEP_CONVERSATION = """
    INSERT INTO lettabot_conversations (agent_id, chat, conversation) VALUES (:agent_id, :chat, :conversation)
    ON CONFLICT (agent_id, chat) DO NOTHING
"""
_FORGET_CONVERSATION = f"""
    DELETE FROM lettabot_conversations WHERE {_KEY_OF_CHAT} AND conversation = :conversation
"""  # noqa: S608

T = TypeVar("T")
Values = Mapping[str, Any]
# In quotes where it is used: Python would make a type of it for each change.
Result = Callable[[], T]


class Entered(msgspec.Struct, frozen=True):
    """A ticket that was enqueued."""

    number: int
    before: int
    """How many live tickets were in the lane already."""
    after_others: bool
    """Whether some of them were other processes'."""
    after_crash: bool
    """Whether there were some of processes that have died."""
    is_claimed: bool
    """Whether the record of the turn was written, because no live ticket was there."""


def enter(ticket: Values, record: Values | None) -> Change[Entered]:
    """Enqueue a ticket. If it is the only live one, also claim the record of its lane and key, as `claim` does."""

    def carry_out(statements: Statements) -> "Result[Entered]":
        if statements.is_pipelined:
            both = _ENTER if record is None else _ENTER_AND_CLAIM
            rows = statements.send(both, ticket if record is None else {**record, **ticket})
            return lambda: _entered(rows()[0])
        [in_lane] = statements.send(_IN_LANE, ticket)()
        [(number,)] = statements.send(_ENQUEUE, ticket)()
        claimed = [] if record is None or in_lane[0] else statements.send(_CLAIM, record)()
        return lambda: _entered((number, *in_lane, bool(claimed)))

    return Change(carry_out, lock=_lane_lock(ticket))


def leave(ticket: Values, delete_crashed: bool) -> Change[bool]:
    """Delete a ticket, and, if wanted, those of dead processes before it. The result: whether other processes have live
    tickets in the lane."""

    def carry_out(statements: Statements) -> "Result[bool]":
        if delete_crashed:
            statements.send(_DELETE_CRASHED, ticket)
        statements.send(_DELETE, ticket)
        return _any(statements.send(_OTHERS, ticket))

    return Change(carry_out, lock=_lane_lock(ticket), may_wait=True)


def claim(record: Values) -> Change[Row | None]:
    """Write the record, unless there is one of that key. The result: the row that was there, or None."""

    def carry_out(statements: Statements) -> "Result[Row | None]":
        claimed, found = statements.send(_CLAIM, record), statements.send(_FIND, record)
        return lambda: None if claimed() else found()[0]

    return Change(carry_out)


def replace(record: Values) -> Change[None]:
    """Write the record over the one with that key and the delivery id `of_delivery`."""
    return done((_REPLACE, record), may_wait=True)


def release(key: str, delivery_id: str) -> Change[None]:
    """Delete the record of that delivery."""
    return done((_RELEASE, {"key": key, "of_delivery": delivery_id}), may_wait=True)


def revoke(key: str, delivery_id: str) -> Change[None]:
    """Delete the record of that delivery, if nothing has become of it."""
    return done((_REVOKE, {"key": key, "of_delivery": delivery_id}), may_wait=True)


def history(lane: str, apart_from: str, now: float) -> Change[Sequence[Row]]:
    """Digests and user message ids of the last records in that lane, the newest first."""
    return read(_HISTORY, {"lane": lane, "of_delivery": apart_from, "now": now})


def sweep(now: float, texts_before: float) -> Change[None]:
    """Delete records whose time is over, and texts of turns that ended before that time."""

    def carry_out(statements: Statements) -> "Result[None]":
        statements.send(_FORGET_RECORDS, {"now": now})
        statements.send(_FORGET_TEXTS, {"texts_before": texts_before})
        return nothing

    return Change(carry_out)


def others_before(ticket: Values) -> Change[bool]:
    """Whether other processes' live tickets stand before this one."""
    return _exists(_OTHERS_BEFORE, ticket)


def crashed_before(ticket: Values) -> Change[bool]:
    """Whether tickets of processes that have died stand before this one."""
    return _exists(_CRASHED_BEFORE, ticket)


def has_waiter(lane: str, key: str, holder: str) -> Change[bool]:
    """Whether another process has a live ticket of that key."""
    return _exists(_WAITERS, {"lane": lane, "key": key, "holder": holder})


def remote_lengths(holder: str) -> Change[Sequence[Row]]:
    """By lane, how many live tickets other processes have."""
    return read(_REMOTE_LENGTHS, {"holder": holder})


def other_holders(holder: str) -> Change[Sequence[Row]]:
    """The names of all other processes that have live tickets."""
    return read(_HOLDERS, {"holder": holder})


def mark_crashed(holder: str) -> Change[None]:
    """Mark all tickets of a process that has died."""
    return done((_MARK_CRASHED, {"holder": holder}), may_wait=True)


def notify(channel: str, topic: str) -> Change[None]:
    """Tell all processes that listen to that channel. Only PostgreSQL can do that."""
    return done(("SELECT pg_notify(:channel, :topic)", {"channel": channel, "topic": topic}))


def find_conversation(agent_id: str, chat: str) -> Change[Sequence[Row]]:
    """The conversation of a chat, if there is one."""
    return read(_FIND_CONVERSATION, {"agent_id": agent_id, "chat": chat})


def conversations_of_chat(chat: str) -> Change[Sequence[Row]]:
    """Agents and conversations."""
    return read(_CONVERSATIONS_OF_CHAT, {"chat": chat})


def keep_conversation(agent_id: str, chat: str, conversation: str) -> Change[str]:
    """Keep the conversation of a chat, unless it has one. The result: the one that it has now."""
    values = {"agent_id": agent_id, "chat": chat, "conversation": conversation}

    def carry_out(statements: Statements) -> "Result[str]":
        statements.send(_KEEP_CONVERSATION, values)
        rows = statements.send(_FIND_CONVERSATION, values)
        return lambda: str(rows()[0][0])

    return Change(carry_out)


def forget_conversation(agent_id: str, chat: str, conversation: str) -> Change[None]:
    """Forget the conversation of a chat, if it is still this one."""
    return done(
        (_FORGET_CONVERSATION, {"agent_id": agent_id, "chat": chat, "conversation": conversation}), may_wait=True
    )


def columns(row: Row) -> dict[str, Any]:
    """A row of `claim`, by the names of its columns."""
    return dict(zip(_COLUMNS, row, strict=True))


def _entered(row: Row) -> Entered:
    number, live, of_others, of_crashed, is_claimed = row
    return Entered(number, live, of_others > 0, of_crashed > 0, is_claimed)


def _lane_lock(ticket: Values) -> str:
    """So that of two tickets of one lane the higher number is never seen before the lower one, and whoever leaves sees
    all that wait."""
    return f"lane {ticket['lane']}"


def _exists(sql: str, values: Values) -> Change[bool]:
    return Change(lambda statements: _any(statements.send(sql, values)), is_read=True)


def _any(rows: Rows) -> Result[bool]:
    return lambda: len(rows()) > 0
