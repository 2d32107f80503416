"""The frames of the App Server, as far as they are read; and what can be told of one by a look at its first bytes."""

from typing import Any

import msgspec

# Large, frequent, and of no use here.
_SKIPPED = tuple(
    f'{{"type":"{kind}"'.encode() for kind in ("update_device_status", "update_subagent_state", "memory_updated")
)
_DELTA = b'{"type":"stream_delta"'
_RUN = b'"run_id":"'
_KEY_ENDS = b',"type"'
_NUMBERED = b'"seq_id":'


class Runtime(msgspec.Struct, frozen=True):
    """One conversation of one agent."""

    agent_id: str = ""
    conversation_id: str = ""


class LoopStatus(msgspec.Struct, frozen=True):
    """What the loop of a conversation is doing."""

    status: str = ""
    active_run_ids: list[str] = []
    client_message_ids_by_run_id: dict[str, list[str]] = {}


class QueueItem(msgspec.Struct, frozen=True):
    """An input that waits."""

    id: str
    client_message_id: str | None = None


class CalledTool(msgspec.Struct, frozen=True):
    """Its arguments come whole, as JSON text."""

    tool_call_id: str = ""
    name: str = ""
    arguments: str = ""


class Delta(msgspec.Struct, frozen=True):
    """A piece of a turn."""

    message_type: str = ""
    id: str = ""
    date: str = ""
    """When it was made, so that dates can be compared as texts."""
    run_id: str | None = None
    seq_id: int | None = None
    """Counts from 1 in each run. Pieces about the turn, and not of the answer, have none."""
    content: Any = None
    reasoning: str | None = None
    tool_call: CalledTool | None = None
    tool_call_id: str | None = None
    tool_return: Any = None
    status: str | None = None
    message: str | None = None
    otid: str | None = None
    client_message_ids: list[str] = []
    prompt_tokens: int = 0
    completion_tokens: int = 0


class StoredMessage(msgspec.Struct, frozen=True):
    """One message of a conversation."""

    id: str | None = None
    date: str | None = None
    message_type: str = ""
    otid: str | None = None
    content: Any = None
    reasoning: str | None = None
    tool_call: CalledTool | None = None
    tool_call_id: str | None = None
    tool_return: Any = None
    status: str | None = None


class ControlRequest(msgspec.Struct, frozen=True):
    """A tool call that waits for somebody's permission."""

    subtype: str = ""
    tool_name: str = ""
    tool_call_id: str = ""
    input: Any = None


class Entity(msgspec.Struct, frozen=True):
    """An agent, or a conversation."""

    id: str
    name: str | None = None
    agent_id: str | None = None
    """Whose conversation it is; of a conversation only, as all that follows."""
    archived: bool | None = None
    created_at: str | None = None
    updated_at: str | None = None
    summary: str | None = None


class Frame(msgspec.Struct, frozen=True):
    """Any frame: `type` says which of the rest it has."""

    type: str = ""
    request_id: str | None = None
    runtime: Runtime | None = None
    emitted_at: str = ""
    delta: Delta | None = None
    loop_status: LoopStatus | None = None
    queue: list[QueueItem] = []
    request: ControlRequest | None = None
    turn_id: str | None = None
    stop_reason: str | None = None
    run_id: str | None = None
    error: str | None = None
    success: bool | None = None
    accepted: bool | None = None
    aborted: bool | None = None
    agent: Entity | None = None
    agents: list[Entity] = []
    conversation: Entity | None = None
    conversations: list[Entity] = []
    messages: list[msgspec.Raw] = []
    has_more: bool | None = None


decoder = msgspec.json.Decoder(Frame)
encoder = msgspec.json.Encoder()


def is_skipped(raw: bytes) -> bool:
    """Whether nobody needs this frame."""
    return raw.startswith(_SKIPPED)


def is_answer(raw: bytes) -> bool:
    """Whether it answers a question of ours. Pieces of answers are most frames, and are told first."""
    return not raw.startswith(_DELTA) and b'"request_id":"r-' in raw[:400]


def repeated_by(raw: bytes) -> bytes | None:
    """What the same piece of an answer has in common on all connections; None for other frames. No text of the answer
    can look like it, because quotes are escaped there."""
    if not raw.startswith(_DELTA) or (begins := raw.find(_RUN)) < 0:
        return None
    ends = raw.find(_KEY_ENDS, begins)
    key = raw[begins:ends]
    return key if ends > 0 and _NUMBERED in key else None


def text_of(content: Any) -> str:
    """The text of a message, whose content is a text or a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text")
    return "".join(part for part in parts if isinstance(part, str))
