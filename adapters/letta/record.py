"""How what Letta has stored of a run becomes turn events. Stored messages are whole, and their tool calls are lists.

A message that cannot be read, or of a type that is not known, says nothing to the user."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from adapters.letta.failures import failure_of_stop_reason
from adapters.letta.lenient_json import decoded, elements
from adapters.letta.wire import CUT_OFF, GOOD_STOPS, WAITS
from domain.model.events import ApprovalRequest, Ended, Failed, Reasoning, Text, ToolCall, ToolResult, TurnEvent, Usage
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.run_record import RunRecord
from domain.model.turn import Turn

_GOING_ON = frozenset({"created", "running"})
# Letta's own notices are user messages, too: packed in JSON, or in a tag.
NOTICE = re.compile(r'\s*(\{\s*"type":\s*"(system_alert|heartbeat|login)"|<system-alert>)')


class Run(msgspec.Struct, frozen=True):
    """What the service needs of a Letta run."""

    status: str
    stop_reason: Any = None


class RunUsage(msgspec.Struct, frozen=True):
    """Tokens of a whole run."""

    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0


class StoredMessage(msgspec.Struct, frozen=True):
    id: Any = None
    message_type: Any = None
    otid: Any = None
    run_id: Any = None
    date: Any = None
    content: Any = None
    reasoning: Any = None
    tool_calls: Any = None
    tool_call: Any = None
    tool_returns: Any = None


_message_decoder = msgspec.json.Decoder(StoredMessage)


def run_record(turn: Turn, run: Run, messages: bytes, usage: RunUsage | None) -> RunRecord:
    """`messages` as Letta lists them, oldest first; raises `msgspec.DecodeError` if they are no list, or if the message
    may be among those that cannot be read."""
    listed, over = listed_messages(messages), run.status not in _GOING_ON
    stored = readable(listed)
    kept = _is_kept(turn, stored)
    if over and not kept and _has_unreadable(listed):
        raise msgspec.DecodeError("what cannot be read may be the message")
    events = [event for message in stored for event in events_in(message)]
    if over:
        events += _end(run, stored, events, usage)
    return RunRecord(over, kept, tuple(events))


def waiting_calls(messages: bytes) -> Sequence[ApprovalRequest]:
    """The tool calls that wait for approval, among the newest messages of a conversation: the last ones that nobody has
    answered.

    Letta lists them newest first, but oldest first in the default history (recorded, 0.16.8)."""
    stored = readable(listed_messages(messages))
    answered = {str(each.get("tool_call_id")) for message in stored for each in _dicts(message.tool_returns)}
    asking = [
        (str(message.date or ""), calls)
        for message in stored
        if (calls := [call for call in _approvals(message) if call.call_id not in answered])
    ]
    return max(asking, key=lambda dated: dated[0])[1] if asking else []


def run_of_delivery(messages: bytes, delivery_id: str) -> str | None:
    """The run of the stored message that was sent with this delivery id (see send.py), if there is one."""
    for message in readable(listed_messages(messages)):
        if isinstance(message.otid, str) and message.otid.startswith(delivery_id) and isinstance(message.run_id, str):
            return message.run_id
    return None


def has_anonymous(messages: bytes, text: str) -> bool:
    """Whether a user message with this text is stored without an otid, so that nobody can tell who has sent it; or what
    nobody can read."""
    listed = listed_messages(messages)
    return _has_unreadable(listed) or any(
        message.message_type == "user_message"
        and not isinstance(message.otid, str)
        and text_in(message.content).strip() == text.strip()
        for message in readable(listed)
    )


def text_in(content: Any) -> str:
    """Of a stored content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(text for part in _dicts(content) if isinstance(text := part.get("text"), str))


def listed_messages(messages: bytes) -> Sequence[StoredMessage | None]:
    """None for each that cannot be read."""
    return [decoded(_message_decoder, each) for each in elements(messages)]


def readable(listed: Sequence[StoredMessage | None]) -> Sequence[StoredMessage]:
    return [message for message in listed if message is not None]


def _has_unreadable(listed: Sequence[StoredMessage | None]) -> bool:
    return any(message is None or not isinstance(message.message_type, str) for message in listed)


def _is_kept(turn: Turn, stored: Sequence[StoredMessage]) -> bool:
    """Whether the user message is stored, or, in a turn without one, what the verdict led to. In a run that was to
    deliver both, Letta may have stored the verdict only."""
    said = [message for message in stored if message.message_type == "user_message"]
    if turn.message is None:
        return len(stored) > len(said)
    return any(_is_of(turn.delivery_id, message) for message in said)


def _is_of(delivery_id: str | None, message: StoredMessage) -> bool:
    if delivery_id is not None and isinstance(message.otid, str) and message.otid.startswith(f"{delivery_id}-message"):
        return True
    # A Letta that does not keep the otid keeps the words.
    return not NOTICE.match(text_in(message.content))


def events_in(message: StoredMessage) -> Iterator[TurnEvent]:
    match message.message_type:
        case "assistant_message":
            if text := text_in(message.content):
                yield Text(text)
        case "reasoning_message" if isinstance(message.reasoning, str) and message.reasoning:
            yield Reasoning(message.reasoning)
        case "tool_call_message":
            for call_id, name, arguments in _calls(message):
                yield ToolCall(call_id, name, arguments)
        case "tool_return_message":
            for each in _dicts(message.tool_returns):
                text = text_in(each.get("tool_return"))
                yield ToolResult(string(each.get("tool_call_id")), text, each.get("status", "success") == "success")


def _end(
    run: Run, stored: Sequence[StoredMessage], events: Sequence[TurnEvent], usage: RunUsage | None
) -> Iterable[TurnEvent]:
    reason = run.stop_reason if isinstance(run.stop_reason, str) else ""
    waiting = [call for message in stored for call in _approvals(message)] if reason == WAITS else []
    if reason not in GOOD_STOPS and not waiting:
        return [Failed(failure_of_stop_reason(reason or run.status))]
    if _lacks_all_text(stored, events):
        return [Failed(Failure(FailureCode.ANSWER_INCOMPLETE, Delivery.UNKNOWN, "the stored answer cannot be read"))]
    used = [Usage(usage.prompt_tokens or 0, usage.completion_tokens or 0)] if usage is not None else []
    return [*waiting, *used, Ended(cut_off=reason == CUT_OFF)]


def _lacks_all_text(stored: Sequence[StoredMessage], events: Sequence[TurnEvent]) -> bool:
    return any(
        message.message_type == "assistant_message" and not isinstance(message.content, str | list)
        for message in stored
    ) and not any(isinstance(event, Text) for event in events)


def _approvals(message: StoredMessage) -> Iterator[ApprovalRequest]:
    if message.message_type == "approval_request_message":
        for call_id, name, arguments in _calls(message):
            if call_id:
                yield ApprovalRequest(call_id, name, arguments)


def _calls(message: StoredMessage) -> Iterator[tuple[str, str, str]]:
    for call in _dicts(message.tool_calls) or _dicts(message.tool_call):
        yield string(call.get("tool_call_id")), string(call.get("name")), string(call.get("arguments"))


def _dicts(value: Any) -> Sequence[dict[Any, Any]]:
    """What should be a list of objects, and may be one object."""
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]


def string(value: Any) -> str:
    return value if isinstance(value, str) else ""
