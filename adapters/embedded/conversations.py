"""What was said to the notebook's agents, in the same SQLite file: the newest messages of each agent, by conversation.

Calls block, as the notebook's do."""

import sqlite3
import time
import uuid
from collections.abc import Sequence

import msgspec

from adapters.embedded.notebook import Notebook
from adapters.embedded.replies import Reply
from domain.model.events import Reasoning, Text, ToolCall, ToolResult, TurnEvent
from domain.model.history import ConversationSummary, HistoryEntry

# Of each agent: turns, and conversations; what is older goes. Of a text: characters.
MOST_TURNS = 2_500
MOST_CONVERSATIONS = 1_000
LONGEST_TEXT = 10_000

_DEFAULT = ""
_decoder = msgspec.json.Decoder(Reply)


class Conversations:
    """`conversation` None is the agent's default history."""

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook

    def open(self, agent_id: str) -> str:
        """A new one, in the list of this agent."""
        conversation = f"conversation-{uuid.uuid4()}"
        with self._notebook.writing() as db:
            _add(db, agent_id, conversation, "")
        return conversation

    def fork(self, agent_id: str, conversation: str) -> str | None:
        """A new one with the same messages; None: this agent has no such conversation."""
        fork = f"conversation-{uuid.uuid4()}"
        with self._notebook.writing() as db:
            kept = db.execute(
                "SELECT summary FROM conversations WHERE agent_id = ? AND id = ?", (agent_id, conversation)
            ).fetchone()
            if kept is None:
                return None
            _add(db, agent_id, fork, kept[0])
            db.execute(
                "INSERT INTO messages (agent_id, conversation, said_at, said, reply) SELECT agent_id, ?, said_at, said,"
                " reply FROM messages WHERE agent_id = ? AND conversation = ? ORDER BY number",
                (fork, agent_id, conversation),
            )
            _cut(db, agent_id)
        return fork

    def rename(self, agent_id: str, conversation: str, summary: str) -> bool:
        """False: this agent has no such conversation."""
        with self._notebook.writing() as db:
            named = db.execute(
                "UPDATE conversations SET summary = ? WHERE agent_id = ? AND id = ?", (summary, agent_id, conversation)
            )
            return named.rowcount > 0

    def delete(self, conversation: str) -> None:
        with self._notebook.writing() as db:
            db.execute("DELETE FROM messages WHERE conversation = ? AND conversation != ''", (conversation,))
            db.execute("DELETE FROM conversations WHERE id = ?", (conversation,))

    def listed(self, agent_id: str, most: int, after: str | None) -> Sequence[ConversationSummary]:
        """Newest first."""
        with self._notebook.reading() as db:
            last = None
            if after is not None:
                last = db.execute(
                    "SELECT number FROM conversations WHERE agent_id = ? AND id = ?", (agent_id, after)
                ).fetchone()
                if last is None:
                    return []
            rows = db.execute(
                "SELECT c.id, c.created_at, max(c.created_at, coalesce(max(m.said_at), 0)), c.summary,"
                " 2 * count(m.number)"
                " FROM conversations c LEFT JOIN messages m ON m.agent_id = c.agent_id AND m.conversation = c.id"
                " WHERE c.agent_id = ? AND c.number < ? GROUP BY c.number ORDER BY c.number DESC LIMIT ?",
                (agent_id, last[0] if last else 2**62, most),
            ).fetchall()
        return [ConversationSummary(*row) for row in rows]

    def keep(self, agent_id: str, conversation: str | None, said: str, reply: Reply) -> None:
        """What the user said, and what the agent did then."""
        with self._notebook.writing() as db:
            if conversation is not None:
                # It may have been opened before messages were kept.
                _add(db, agent_id, conversation, "")
            db.execute(
                "INSERT INTO messages (agent_id, conversation, said_at, said, reply) VALUES (?, ?, ?, ?, ?)",
                (
                    agent_id,
                    conversation or _DEFAULT,
                    time.time(),
                    _cut_text(said),
                    msgspec.json.encode(_cut_reply(reply)),
                ),
            )
            _cut(db, agent_id)

    def read(self, agent_id: str, conversation: str | None, most: int, before: str | None) -> Sequence[HistoryEntry]:
        """The newest entries, so many at most, oldest first; those before that one."""
        with self._notebook.reading() as db:
            place = (agent_id, conversation or _DEFAULT)
            number, _, part = (before or f"{2**62}-user").partition("-")
            if not (number.isdecimal() and len(number) < 20 and part in ("user", "agent")):
                return []
            own = "SELECT number, said_at, said, reply FROM messages WHERE agent_id = ? AND conversation = ?"
            if before and db.execute(f"{own} AND number = ?", (*place, int(number))).fetchone() is None:
                return []
            # Of the turn of an agent's entry, the user's is before it.
            until = int(number) + (part == "agent")
            rows = db.execute(f"{own} AND number < ? ORDER BY number DESC LIMIT ?", (*place, until, most)).fetchall()
        entries = [entry for row in reversed(rows) for entry in _entries(*row)]
        if part == "agent":
            entries = entries[:-1]
        return entries[-most:]


def _add(db: sqlite3.Connection, agent_id: str, conversation: str, summary: str) -> None:
    """If it is not there. In a transaction that writes."""
    db.execute(
        "INSERT INTO conversations (id, agent_id, created_at, summary) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        (conversation, agent_id, time.time(), summary),
    )
    db.execute(
        "DELETE FROM conversations WHERE agent_id = ? AND number <= (SELECT number FROM conversations"
        " WHERE agent_id = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (agent_id, agent_id, MOST_CONVERSATIONS),
    )


def _cut(db: sqlite3.Connection, agent_id: str) -> None:
    db.execute(
        "DELETE FROM messages WHERE agent_id = ? AND number <= (SELECT number FROM messages"
        " WHERE agent_id = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (agent_id, agent_id, MOST_TURNS),
    )


def _entries(number: int, at: float, said: str, reply: bytes) -> Sequence[HistoryEntry]:
    events = tuple(_events(number, _decoder.decode(reply)))
    return [HistoryEntry(f"{number}-user", at, user=said), HistoryEntry(f"{number}-agent", at, events=events)]


def _events(number: int, reply: Reply) -> Sequence[TurnEvent]:
    events: list[TurnEvent] = [Reasoning(reply.thought)]
    if (tool := reply.tool) is not None:
        call_id = f"call-{number}"
        events += [
            ToolCall(call_id, tool.name),
            ToolCall(call_id, arguments=msgspec.json.encode(tool.arguments).decode()),
            ToolResult(call_id, tool.result, tool.ok),
        ]
    return [*events, Text(reply.answer)]


def _cut_reply(reply: Reply) -> Reply:
    tool = reply.tool
    if tool is not None:
        # Arguments are no longer than a note may be.
        tool = msgspec.structs.replace(tool, result=_cut_text(tool.result))
    return msgspec.structs.replace(reply, answer=_cut_text(reply.answer), tool=tool)


def _cut_text(text: str) -> str:
    """Valid Unicode, and not longer than it may be."""
    whole = text.encode("utf-8", "replace").decode()
    return whole if len(whole) <= LONGEST_TEXT else f"{whole[:LONGEST_TEXT]}…"
