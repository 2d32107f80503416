"""What is told of an agent's conversations, and why something that is asked of them is not done."""

from enum import StrEnum

import msgspec

from domain.model.history import ConversationSummary

DEFAULT_ID = "default"
"""What an agent's default history is called."""


class Refusal(StrEnum):
    """Why something is not done."""

    NOT_SUPPORTED = "not_supported"
    NOT_FOUND = "conversation_not_found"
    UNKNOWN_ID = "unknown_id"
    BUSY = "conversation_busy"
    ADMIN_REQUIRED = "admin_required"
    NO_CHATS = "chat_keys_not_allowed"


class RefusedError(Exception):
    """Nothing was changed."""

    def __init__(self, refusal: Refusal, lacks: str = "") -> None:
        super().__init__(refusal)
        self.refusal = refusal
        self.lacks = lacks
        """What the backend cannot do, as a sentence."""


class Chat(msgspec.Struct, frozen=True):
    """A chat that goes to a conversation."""

    key: str | None
    """As the client calls it. None: messages without a chat key."""
    key_name: str | None
    """The name of the API key to which it belongs; empty: the main key. None: that key is no more."""


class Listed(msgspec.Struct, frozen=True):
    """A conversation, and which chat goes there."""

    conversation: ConversationSummary
    chat: Chat | None = None
