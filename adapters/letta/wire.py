"""How one Letta stream event becomes turn events. Shapes as recorded from Letta 0.16.8 through letta-client 1.12.1."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from adapters.letta.failures import failure_of_error_event, failure_of_stop_reason, refusal_in
from adapters.letta.lenient_json import UNREADABLE, decoded
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
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError

# Letta's stop reasons after which the answer is whole; every other one is a failure.
WAITS = "requires_approval"
CUT_OFF = "max_tokens_exceeded"
GOOD_STOPS = frozenset({"end_turn", "tool_rule", "no_tool_call", "max_steps", CUT_OFF})


class _Event(msgspec.Struct, frozen=True, tag_field="message_type"):
    """Whatever stands in `run_id`, the rest can be read."""

    run_id: Any = None


class _Ping(_Event, frozen=True, tag="ping"):
    pass


class TextPart(msgspec.Struct, frozen=True):
    """Of a content that is a list."""

    text: str = ""


class _AssistantMessage(_Event, frozen=True, kw_only=True, tag="assistant_message"):
    content: str | list[TextPart]


class _ReasoningMessage(_Event, frozen=True, tag="reasoning_message"):
    reasoning: str | None = None


class _ToolCallDelta(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None
    tool_call_id: str | None = None


class _ToolCallMessage(_Event, frozen=True, kw_only=True, tag="tool_call_message"):
    tool_call: _ToolCallDelta


class _ApprovalRequestMessage(_Event, frozen=True, kw_only=True, tag="approval_request_message"):
    tool_call: _ToolCallDelta


class ToolReturn(msgspec.Struct, frozen=True):
    """What one call gave back."""

    tool_call_id: str = ""
    status: str = "success"
    tool_return: str | list[TextPart] | None = None


class _ToolReturnMessage(_Event, frozen=True, kw_only=True, tag="tool_return_message"):
    # With parallel calls the message's own fields are the first return's only: all stand in the list.
    tool_returns: list[ToolReturn]


class _StopReason(_Event, frozen=True, kw_only=True, tag="stop_reason"):
    stop_reason: str


class _UsageStatistics(_Event, frozen=True, tag="usage_statistics"):
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0


class _ErrorMessage(_Event, frozen=True, tag="error_message"):
    error_type: Any = None
    message: Any = None
    detail: Any = None


class _AnyEvent(msgspec.Struct, frozen=True):
    """What can still be read of an event that is not as it should be."""

    message_type: Any = None
    run_id: Any = None


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


# No event of Letta's at all, but what proxies slip in to keep a connection open.
_KEEP_ALIVE = re.compile(rb"(ping|pong|heartbeat|keep-?alive)?", re.IGNORECASE)
# Without these, an answer is whole all the same.
_NO_PART_OF_ANSWER = frozenset({"ping", "usage_statistics"})


class TurnTranslator:
    """Turns the events of one Letta stream into turn events, `Accepted` first.

    What cannot be read is skipped. If it may have been a part of the answer, nothing of the answer follows, because it
    would not fit: the run's record has to say the rest. `skipped` counts it, `unknown` what is of unknown types.

    `begins_with_tool`: a verdict comes before the message, so that a tool's result says nothing of the message."""

    def __init__(self, begins_with_tool: bool = False) -> None:
        self._begins_with_tool = begins_with_tool
        self.accepted = False
        self.done = False
        self.skipped = 0
        self.unknown = 0
        self.error_after_answer: str | None = None
        self._lacks_part = False
        self._may_lack_part = False
        self._said_something = False
        self._kept_something = False
        self._failure: Failure | None = None
        self._stop_reason: str | None = None
        self._named_calls: set[str] = set()
        self._call_id = ""
        self._approvals: dict[str, list[_ToolCallDelta]] = {}

    def events(self, data: bytes) -> Sequence[TurnEvent]:
        """The turn events of one SSE event."""
        if self.done:
            return ()
        if data == b"[DONE]":
            self.done = True
            return ()
        try:
            event = _decoder.decode(data)
        except UNREADABLE:
            return self._skipped(data)
        if isinstance(event, _AssistantMessage) and self.accepted and not self._lacks_part:
            # Nearly always.
            self._said_something = True
            return (Text(text),) if (text := text_of(event.content)) else ()
        if not self.accepted:
            self.accepted = True
            return (Accepted(_named(event.run_id)), *self._translated(event))
        return self._translated(event)

    def end(self) -> Iterator[TurnEvent]:
        """The last events, at the end of the stream; raises `FailureError` unless the agent came to a good end, and all
        of its answer was here.

        Letta's [DONE] is not waited for: it is missing after errors and cancels."""
        if not self.answered:
            raise FailureError(self._failure or self._failure_at_end())
        if self._lacks_part:
            raise FailureError(Failure(FailureCode.ANSWER_INCOMPLETE, Delivery.UNKNOWN, "events could not be read"))
        if self._stop_reason == WAITS:
            for call_id, deltas in self._approvals.items():
                name = "".join(delta.name or "" for delta in deltas)
                yield ApprovalRequest(call_id, name, "".join(delta.arguments or "" for delta in deltas))
        elif self._may_lack_part:
            raise FailureError(Failure(FailureCode.ANSWER_INCOMPLETE, Delivery.YES, "what was no event was skipped"))
        yield Ended(cut_off=self._stop_reason == CUT_OFF)

    @property
    def answered(self) -> bool:
        """Whether the agent has come to a good end, so that neither an error nor a lost connection matters any more."""
        return self._stop_reason in GOOD_STOPS or (self._stop_reason == WAITS and bool(self._approvals))

    def _translated(self, event: _Known) -> Sequence[TurnEvent]:
        match event:
            case _StopReason(stop_reason=reason):
                self._stop(reason)
                return ()
            case _ErrorMessage():
                self._fail(event)
                return ()
            case _Ping():
                return ()
        self._said_something = True
        # A step is stored before the results of its tools are told.
        self._kept_something |= isinstance(event, _ToolReturnMessage) and not self._begins_with_tool
        return () if self._lacks_part else self._part_of_answer(event)

    def _part_of_answer(self, event: _Known) -> Sequence[TurnEvent]:
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
                # Some language models number the calls of each step anew.
                self._named_calls.difference_update([each.tool_call_id for each in returns])
                return [
                    ToolResult(each.tool_call_id, text_of(each.tool_return), each.status == "success")
                    for each in returns
                ]
            case _UsageStatistics(prompt_tokens=prompt, completion_tokens=completion):
                return (Usage(prompt or 0, completion or 0),)
        return ()

    def _stop(self, reason: str) -> None:
        """Letta says why a run has ended only once, unless it failed: an end that came second is none."""
        if self._stop_reason is None or not (_is_good(reason) or _is_good(self._stop_reason)):
            self._stop_reason = reason

    def _fail(self, event: _ErrorMessage) -> None:
        self.done = True
        error_type, message, detail = (
            each if isinstance(each, str) else "" for each in (event.error_type, event.message, event.detail)
        )
        if self.answered:
            self.error_after_answer = error_type
            return
        words = f"{message} {detail}"
        if not self._said_something and not self._lacks_part:
            self._failure = refusal_in(words)
        if self._failure is None:
            delivery = Delivery.YES if self._kept_something else Delivery.UNKNOWN
            self._failure = failure_of_error_event(error_type, words, self._stop_reason or "", delivery)

    def _failure_at_end(self) -> Failure:
        if self._stop_reason is not None:
            return failure_of_stop_reason(self._stop_reason)
        if self.accepted:
            return Failure(FailureCode.CONNECTION_LOST, Delivery.UNKNOWN, "the stream ended without a stop reason")
        return Failure(FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN, "the stream ended before its first event")

    def _skipped(self, data: bytes) -> Sequence[TurnEvent]:
        loose = decoded(_any_decoder, data) or _AnyEvent()
        kind = loose.message_type if isinstance(loose.message_type, str) else ""
        if kind and kind not in _known_types:
            self.unknown += 1
        else:
            self.skipped += 1
            if _KEEP_ALIVE.fullmatch(data):
                self._may_lack_part = True
            elif kind not in _NO_PART_OF_ANSWER:
                self._lacks_part = True
        if self.accepted or _named(loose.run_id) is None:
            return ()
        self.accepted = True
        return (Accepted(_named(loose.run_id)),)

    def _tool_call(self, delta: _ToolCallDelta) -> ToolCall:
        self._call_id = delta.tool_call_id or self._call_id
        name = ""
        if self._call_id not in self._named_calls and delta.name:
            self._named_calls.add(self._call_id)
            name = delta.name
        return ToolCall(self._call_id, name, delta.arguments or "")


def _is_good(stop_reason: str) -> bool:
    return stop_reason in GOOD_STOPS or stop_reason == WAITS


def _named(run_id: Any) -> str | None:
    return run_id if isinstance(run_id, str) and run_id else None


def text_of(content: str | list[TextPart] | None) -> str:
    """Letta writes text as a string or as parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part.text for part in content)
    return ""
