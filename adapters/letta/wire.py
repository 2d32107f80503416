"""How one Letta stream event becomes turn events. Shapes as recorded from Letta 0.16.8 through letta-client 1.12.1."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec

from adapters.letta.failures import failure_of_error_event, failure_of_stop_reason
from domain.model.events import (
    Accepted,
    ApprovalRequest,
    Ended,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    TurnEvent,
    Usage,
)
from domain.model.failures import BackendError, Delivery, Failure, FailureCode

# Letta's stop reasons after which the answer is whole; every other one is a failure.
WAITS = "requires_approval"
GOOD_STOPS = frozenset({"end_turn", "tool_rule", "no_tool_call", "max_steps", "max_tokens_exceeded"})


class AgentHead(msgspec.Struct, frozen=True):
    """What the service needs of an agent; the rest of an AgentState (about 7 kB) is skipped."""

    id: str
    name: str | None = None
    created_at: datetime | None = None


class _Event(msgspec.Struct, frozen=True, tag_field="message_type"):
    run_id: str | None = None


class _Ping(_Event, frozen=True, tag="ping"):
    pass


class TextPart(msgspec.Struct, frozen=True):
    """Of a content that is a list."""

    text: str = ""


class _AssistantMessage(_Event, frozen=True, tag="assistant_message"):
    content: str | list[TextPart] = ""


class _ReasoningMessage(_Event, frozen=True, tag="reasoning_message"):
    reasoning: str | None = None


class _ToolCallDelta(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None
    tool_call_id: str | None = None


class _ToolCallMessage(_Event, frozen=True, tag="tool_call_message"):
    tool_call: _ToolCallDelta = _ToolCallDelta()


class _ApprovalRequestMessage(_Event, frozen=True, tag="approval_request_message"):
    tool_call: _ToolCallDelta = _ToolCallDelta()


class ToolReturn(msgspec.Struct, frozen=True):
    """What one call gave back."""

    tool_call_id: str = ""
    status: str = "success"
    tool_return: str | list[TextPart] | None = None


class _ToolReturnMessage(_Event, frozen=True, tag="tool_return_message"):
    # With parallel calls the message's own fields are the first return's only: all stand in the list.
    tool_returns: list[ToolReturn] = []


class _StopReason(_Event, frozen=True, tag="stop_reason"):
    stop_reason: str = ""


class _UsageStatistics(_Event, frozen=True, tag="usage_statistics"):
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0


class _ErrorMessage(_Event, frozen=True, tag="error_message"):
    error_type: str | None = None
    message: str | None = None
    detail: Any = None


class _AnyEvent(msgspec.Struct, frozen=True):
    message_type: str | None = None


_Known = (
    _Ping
    | _AssistantMessage
    | _ReasoningMessage
    | _ToolCallMessage
    | _ApprovalRequestMessage
    | _ToolReturnMessage
    | _StopReason
    | _UsageStatistics
    | _ErrorMessage
)
_decoder: msgspec.json.Decoder[_Known] = msgspec.json.Decoder(_Known)
_any_decoder: msgspec.json.Decoder[_AnyEvent] = msgspec.json.Decoder(_AnyEvent)
_known_types = frozenset(str(kind.__struct_config__.tag) for kind in _Known.__args__)


class TurnTranslator:
    """Turns the events of one Letta stream into turn events, `Accepted` first."""

    def __init__(self) -> None:
        self.accepted = False
        self.done = False
        self._kept_something = False
        self._stop_reason: str | None = None
        self._named_calls: set[str] = set()
        self._call_id = ""
        self._approvals: dict[str, list[_ToolCallDelta]] = {}

    def events(self, data: bytes) -> Sequence[TurnEvent]:
        """The turn events of one SSE event; raises `BackendError` for an error event, and for a broken one."""
        if data == b"[DONE]":
            self.done = True
            return ()
        event = self._decode(data)
        if event is None:
            return ()
        if not self.accepted:
            self.accepted = True
            return (Accepted(event.run_id), *self._translated(event))
        return self._translated(event)

    def _translated(self, event: _Known) -> Sequence[TurnEvent]:
        match event:
            case _AssistantMessage(content=content):
                return (Text(text),) if (text := text_of(content)) else ()
            case _ReasoningMessage(reasoning=str(reasoning)) if reasoning:
                return (Reasoning(reasoning),)
            case _ToolCallMessage(tool_call=delta):
                return (self._tool_call(delta),)
            case _ApprovalRequestMessage(tool_call=delta):
                self._call_id = delta.tool_call_id or self._call_id
                self._approvals.setdefault(self._call_id, []).append(delta)
            case _ToolReturnMessage(tool_returns=returns):
                self._kept_something = True
                return [
                    ToolResult(each.tool_call_id, text_of(each.tool_return), each.status == "success")
                    for each in returns
                ]
            case _UsageStatistics(prompt_tokens=prompt, completion_tokens=completion):
                return (Usage(prompt or 0, completion or 0),)
            case _StopReason(stop_reason=reason):
                self._stop_reason = reason
            case _ErrorMessage(error_type=error_type, message=message, detail=detail):
                # Letta keeps nothing of a turn that fails in its first step, not even the question.
                delivery = Delivery.YES if self._kept_something else Delivery.NO
                words = f"{message or ''} {detail or ''}"
                raise BackendError(failure_of_error_event(error_type or "", words, self._stop_reason or "", delivery))
        return ()

    def end(self) -> Iterator[TurnEvent]:
        """The last events, at the end of the stream; raises `BackendError` unless the agent came to a good end.

        Letta's [DONE] is not waited for: it is missing after errors and cancels."""
        if not self.answered:
            raise BackendError(self._failure_at_end())
        if self._stop_reason == WAITS:
            for call_id, deltas in self._approvals.items():
                name = "".join(delta.name or "" for delta in deltas)
                yield ApprovalRequest(call_id, name, "".join(delta.arguments or "" for delta in deltas))
        yield Ended()

    @property
    def answered(self) -> bool:
        """Whether all of the answer is here, so that losing the connection now loses nothing."""
        return self._stop_reason in GOOD_STOPS or (self._stop_reason == WAITS and bool(self._approvals))

    def _failure_at_end(self) -> Failure:
        if self._stop_reason is None:
            if not self.accepted:
                return Failure(
                    FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN, "the stream ended before its first event"
                )
            return Failure(FailureCode.CONNECTION_LOST, Delivery.YES, "the stream ended without a stop reason")
        return failure_of_stop_reason(self._stop_reason)

    def _decode(self, data: bytes) -> _Known | None:
        try:
            return _decoder.decode(data)
        except msgspec.DecodeError as error:
            try:
                unknown = _any_decoder.decode(data).message_type not in _known_types
            except msgspec.DecodeError:
                unknown = False
            if unknown:
                return None
            delivery = Delivery.YES if self.accepted else Delivery.UNKNOWN
            raise BackendError(
                Failure(FailureCode.AGENT_ERROR, delivery, f"an event of Letta's stream cannot be read: {error}")
            ) from None

    def _tool_call(self, delta: _ToolCallDelta) -> ToolCall:
        self._call_id = delta.tool_call_id or self._call_id
        name = ""
        if self._call_id not in self._named_calls and delta.name:
            self._named_calls.add(self._call_id)
            name = delta.name
        return ToolCall(self._call_id, name, delta.arguments or "")


def text_of(content: str | list[TextPart] | None) -> str:
    """Letta writes text as a string or as parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part.text for part in content)
    return ""
