"""How what Letta has stored of a run becomes turn events. Stored messages are whole, and their tool calls are lists."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import Raw

from adapters.letta.failures import failure_of_stop_reason
from adapters.letta.wire import GOOD_STOPS, WAITS, TextPart, ToolReturn, text_of
from domain.model.events import ApprovalRequest, Ended, Failed, Reasoning, Text, ToolCall, ToolResult, TurnEvent, Usage
from ports.agent_gateway import RunRecord

_GOING_ON = frozenset({"created", "running"})


class Run(msgspec.Struct, frozen=True):
    """What the service needs of a Letta run."""

    status: str = "running"
    stop_reason: str | None = None


class RunUsage(msgspec.Struct, frozen=True):
    """Tokens of a whole run."""

    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0


class _StoredCall(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None
    tool_call_id: str = ""


class _StoredMessage(msgspec.Struct, frozen=True):
    message_type: str = ""
    otid: str | None = None
    run_id: str | None = None
    content: str | list[TextPart] | None = None
    reasoning: str | None = None
    tool_calls: list[_StoredCall] | None = None
    tool_returns: list[ToolReturn] | None = None


_messages_decoder = msgspec.json.Decoder(list[Raw])
_message_decoder = msgspec.json.Decoder(_StoredMessage)


def run_record(run: Run, messages: bytes, usage: RunUsage) -> RunRecord:
    """`messages` as Letta lists them, oldest first."""
    stored = list(_stored(messages))
    events = [event for message in stored for event in _events(message)]
    over = run.status not in _GOING_ON
    if over:
        events += _end(run, stored, usage)
    return RunRecord(over, bool(stored), tuple(events))


def waiting_calls(messages: bytes) -> Sequence[ApprovalRequest]:
    """The tool calls that wait for approval, if the newest message (they come newest first) says so."""
    for message in _stored(messages):
        return list(_approvals(message))
    return []


def run_of_delivery(messages: bytes, delivery_id: str) -> str | None:
    """The run of the stored message that was sent with this delivery id (see send.py), if there is one."""
    for message in _stored(messages):
        if message.otid is not None and message.otid.startswith(delivery_id):
            return message.run_id
    return None


def _stored(messages: bytes) -> Iterator[_StoredMessage]:
    for raw in _messages_decoder.decode(messages):
        try:
            yield _message_decoder.decode(raw)
        except msgspec.ValidationError:
            # Of a type that this service does not know, so it says nothing to the user either.
            continue


def _events(message: _StoredMessage) -> Iterator[TurnEvent]:
    match message.message_type:
        case "assistant_message":
            if text := text_of(message.content):
                yield Text(text)
        case "reasoning_message" if message.reasoning:
            yield Reasoning(message.reasoning)
        case "tool_call_message":
            for call in message.tool_calls or ():
                yield ToolCall(call.tool_call_id, call.name or "", call.arguments or "")
        case "tool_return_message":
            for each in message.tool_returns or ():
                yield ToolResult(each.tool_call_id, text_of(each.tool_return), each.status == "success")


def _end(run: Run, stored: Sequence[_StoredMessage], usage: RunUsage) -> Iterable[TurnEvent]:
    waiting = list(_approvals(stored[-1])) if stored and run.stop_reason == WAITS else []
    if run.stop_reason in GOOD_STOPS or waiting:
        return [*waiting, Usage(usage.prompt_tokens or 0, usage.completion_tokens or 0), Ended()]
    return [Failed(failure_of_stop_reason(run.stop_reason or run.status))]


def _approvals(message: _StoredMessage) -> Iterator[ApprovalRequest]:
    if message.message_type == "approval_request_message":
        for call in message.tool_calls or ():
            yield ApprovalRequest(call.tool_call_id, call.name or "", call.arguments or "")
