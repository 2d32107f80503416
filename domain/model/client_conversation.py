"""A conversation that a client has made to have an id for it. It belongs to no agent; its id is a chat key."""

import re
import secrets
from collections.abc import Mapping

import msgspec

from domain.model.ids import new_id

_ID = re.compile("conv_[0-9a-f]{48}")
# Items, and bytes of them, that one conversation may hold beside what an agent remembers.
MOST_ITEMS = 10_000
MOST_BYTES = 10_000_000


class ClientConversation(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation."""

    id: str
    owner: str
    """The id of the API key that it belongs to. Empty: the main key."""
    made_at: float
    """Seconds since 1970."""
    metadata: Mapping[str, str] = {}


class ConversationItem(msgspec.Struct, frozen=True):
    """Something that a client has put into it. No agent was told."""

    id: str
    made_at: float
    """Seconds since 1970."""
    content: bytes
    """As JSON; only clients know what it means."""


def new_conversation_id() -> str:
    """Nobody can guess it."""
    return f"conv_{secrets.token_hex(24)}"


def is_conversation_id(text: str) -> bool:
    """No other text is an id; and databases do not take every text."""
    return _ID.fullmatch(text) is not None


def new_item_id(kind: str) -> str:
    """Of an item of that kind, such as `msg`."""
    return new_id(kind, random_bytes=12)
