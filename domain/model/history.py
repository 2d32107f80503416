"""What was said in a conversation: as this service keeps it where the backend does not remember, and as backends tell
it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from domain.model.events import TurnEvent

# What is sent along with each message: the newest, so many, of so many bytes together.
MOST_MESSAGES = 200
MOST_BYTES = 200_000


class Said(msgspec.Struct, frozen=True):
    """One message."""

    role: str
    """`user` or `assistant`."""
    text: str
    at: float = 0.0
    """Seconds since 1970. 0: it was kept before that was written down."""


class HistoryEntry(msgspec.Struct, frozen=True):
    """One message that a backend has stored: a user's, or what the agent did in one step."""

    id: str
    at: float = 0.0
    """Seconds since 1970. 0: the backend does not say when."""
    user: str | None = None
    """What the user said."""
    events: tuple[TurnEvent, ...] = ()
    """What the agent said, thought and did: text, reasoning, tool calls, tool results."""


class ConversationSummary(msgspec.Struct, frozen=True):
    """One conversation that a backend has. Times are in seconds since 1970; 0: the backend does not say."""

    id: str
    created_at: float = 0.0
    updated_at: float = 0.0
    summary: str = ""
    """What it is about, in words."""
    messages: int | None = None
    """How many there are in it. None: the backend does not say."""


def bounded(history: Sequence[Said], messages: int = MOST_MESSAGES, size: int = MOST_BYTES) -> Sequence[Said]:
    """Its newest part, beginning with a user's message."""
    kept: list[Said] = []
    for said in reversed(history[-messages:]):
        size -= len(said.text.encode("utf-8", "surrogatepass"))
        if size < 0:
            break
        kept.append(said)
    while kept and kept[-1].role != "user":
        kept.pop()
    return kept[::-1]


def seconds_at(date: str) -> float:
    """Seconds since 1970 of a date in ISO 8601; 0 if it cannot be read."""
    try:
        return datetime.fromisoformat(date).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0
