"""Conversations and what was said in them, as LettaBot's own API shows them; and what is sent to change them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from domain.model.answer_text import whole_reasoning, whole_text
from domain.model.conversation_listing import Listed
from domain.model.events import ToolCall, ToolResult
from domain.model.history import HistoryEntry


class ChatShape(msgspec.Struct, frozen=True, rename="camel"):
    """A chat that goes to a conversation."""

    key: str | None
    """Null: messages without a chat key."""
    key_name: str | None
    """Of the API key; empty: the main key; null: the key is no more."""


class ConversationShape(msgspec.Struct, frozen=True, rename="camel"):
    """A conversation of an agent. Times are in UTC, ISO 8601; null: the backend does not say."""

    id: str
    created_at: str | None
    updated_at: str | None
    summary: str
    message_count: int | None
    chats: Sequence[ChatShape]


class ConversationPage(msgspec.Struct, frozen=True, rename="camel"):
    """The newest first."""

    conversations: Sequence[ConversationShape]
    has_more: bool


class ToolCallShape(msgspec.Struct, rename="camel"):
    """`input` is the JSON that the agent wrote, or, if it is none, the text. `result` is null while there is none."""

    id: str
    name: str
    input: Any = ""
    result: str | None = None
    is_error: bool = False


class MessageShape(msgspec.Struct, frozen=True, rename="camel"):
    """What the user said, or what the agent said and did in one step."""

    id: str
    at: str | None
    role: str
    text: str
    tool_calls: Sequence[ToolCallShape]
    reasoning: str | msgspec.UnsetType = msgspec.UNSET


class MessagePage(msgspec.Struct, frozen=True, rename="camel"):
    """The oldest first."""

    messages: Sequence[MessageShape]
    has_more: bool


class Assigned(msgspec.Struct, frozen=True, rename="camel"):
    """Where messages with this chat key go from now on."""

    agent: str
    key: str | None
    conversation_id: str
    success: bool = True


class Deleted(msgspec.Struct, frozen=True, rename="camel"):
    """The conversation that was deleted."""

    conversation_id: str
    success: bool = True


def conversation_shape(listed: Listed) -> ConversationShape:
    it, chat = listed.conversation, listed.chat
    chats = () if chat is None else (ChatShape(chat.key, chat.key_name),)
    return ConversationShape(it.id, _when(it.created_at), _when(it.updated_at), it.summary, it.messages, chats)


def message_shapes(entries: Sequence[HistoryEntry], with_reasoning: bool) -> Sequence[MessageShape]:
    """A result stands with its call, in whichever entry it came; and for itself if the call is on an older page."""
    shapes: list[MessageShape] = []
    calls: dict[str, ToolCallShape] = {}
    for entry in entries:
        if entry.user is not None:
            shapes.append(MessageShape(entry.id, _when(entry.at), "user", entry.user, ()))
        if not entry.events and entry.user is not None:
            continue
        own: list[ToolCallShape] = []
        for event in entry.events:
            match event:
                case ToolCall(call_id=id_, name=name, arguments=arguments):
                    if id_ not in calls:
                        own.append(calls.setdefault(id_, ToolCallShape(id_, name)))
                    calls[id_].input += arguments
                case ToolResult(call_id=id_, text=text, ok=ok):
                    if id_ not in calls:
                        own.append(calls.setdefault(id_, ToolCallShape(id_, "")))
                    calls[id_].result, calls[id_].is_error = text, not ok
        text, thought = whole_text(entry.events), whole_reasoning(entry.events) if with_reasoning else ""
        # The first one stays, so that there is something to ask for the page before.
        if text or thought or own or not shapes:
            reasoning = thought or msgspec.UNSET
            shapes.append(MessageShape(entry.id, _when(entry.at), "assistant", text, own, reasoning))
    for call in calls.values():
        call.input = _input(call.input)
    return shapes


def _input(arguments: str) -> Any:
    if not arguments.strip():
        return {}
    try:
        return msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments


def _when(seconds: float) -> str | None:
    try:
        moment = datetime.fromtimestamp(seconds, UTC) if seconds else None
    except (ValueError, OverflowError, OSError):
        moment = None
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
