"""How turn events become the numbered events of a response, and the response itself.

The same turn events always lead to the same numbers, so a client can read on from any of them. Order, as OpenAI's SDKs
insist on it: `created` first; items one after the other; each that is added is done before the next; the end last."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from domain.model.answer_text import BLANK_LINE
from domain.model.approvals import question
from domain.model.events import ApprovalRequest, Ended, Failed, Reasoning, Text, ToolCall, ToolResult, TurnEvent, Usage
from domain.model.failures import Delivery
from domain.model.response import ResponseStatus
from entrypoints.http.api_errors import ApiError
from entrypoints.http.responses import items
from entrypoints.http.responses.call_events import CallEvents
from entrypoints.http.responses.event_writer import EventWriter, delta_head
from entrypoints.http.responses.form import ResponseForm, Shows
from entrypoints.http.responses.response_object import ResponseObject
from entrypoints.http.sse import DONE, in_lines
from entrypoints.http.text_pieces import ALWAYS_SHORT, pieces

# For whoever wants no events, but what they add up to.
NO_EVENTS = 1 << 62
_MESSAGE, _REASONING = "message", "reasoning"

_encode = msgspec.json.Encoder().encode


class ResponseEncoder:
    """Of one answer. Of its events, those up to the number `after` are left out.

    `identify`: the id of the response; asked for when the first event comes. `ended_at`: when its turn ended."""

    def __init__(
        self,
        form: ResponseForm,
        ended_at: Callable[[], float],
        identify: Callable[[], str | None] = lambda: None,
        after: int = -1,
    ) -> None:
        self._form = form
        self._ended_at = ended_at
        self._identify = identify
        self._object = ResponseObject(form)
        self._writer = EventWriter(form.record.id, after)
        tools = next((each for each in (Shows.MCP_CALLS, Shows.FUNCTION_CALLS) if form.shows(each)), None)
        self._calls = None if tools is None else CallEvents(self._writer, tools)
        self._has_begun = self._in_progress = False
        # The message, or the thought, that is not done yet.
        self._kind = ""
        self._item_id = ""
        self._said: list[str] = []
        self._before_number = self._after_number = b""
        self._usage = form.usage_unknown
        self._end: TurnEvent | None = None

    def opening(self) -> bytes:
        """A response that waits is told at once; others when it is known which response it is."""
        return self._begin() if self._form.record.background else b""

    def encode(self, events: Iterable[TurnEvent]) -> bytes:
        """All that these events add to the stream, in one piece; empty if they show nothing."""
        return in_lines(b"".join([self._event(event) for event in events]))

    def failure(self, error: ApiError) -> bytes:
        """The end of a stream that failed because of a bug."""
        begun = self._begin() + self._go_on()
        return begun + self._last("failed", self._object.failed(self._writer.output, error)) + DONE

    def response(self) -> bytes:
        """The response as it is now."""
        if self._end is not None:
            return self._ended(self._end)
        status = ResponseStatus.IN_PROGRESS if self._in_progress else self._form.record.status
        is_open = [_encode(self._open_item("in_progress"))] if self._kind else []
        return self._object.of(status, [*self._writer.output, *is_open])

    def _event(self, event: TurnEvent) -> bytes:
        if self._kind is _MESSAGE and isinstance(event, Text) and 0 < len(event.text) <= ALWAYS_SHORT:
            return self._delta(event.text)
        begun = b"" if self._in_progress else self._begin() + self._go_on()
        match event:
            case Text(text=text) if text:
                return begun + self._say(_MESSAGE, "msg", text)
            case Reasoning(text=text) if text and self._form.shows(Shows.REASONING):
                return begun + self._say(_REASONING, "rs", text)
            case ToolCall():
                return begun + self._close_item() + (self._calls.call(event) if self._calls else b"")
            case ToolResult() if self._calls:
                return begun + self._calls.result(event)
            case ApprovalRequest():
                return begun + self._approval(event)
            case Usage():
                self._usage = event
            case Ended() | Failed():
                return begun + self._close(event)
        return begun

    def _begin(self) -> bytes:
        if self._has_begun:
            return b""
        self._has_begun = True
        if (response_id := self._identify()) is not None:
            self._writer.response_id = response_id
            self._object = self._object.named(response_id)
        status = ResponseStatus.QUEUED if self._form.record.background else ResponseStatus.IN_PROGRESS
        begun = self._snapshot("response.created", status)
        return begun + self._snapshot("response.queued", status) if status is ResponseStatus.QUEUED else begun

    def _go_on(self) -> bytes:
        if self._in_progress:
            return b""
        self._in_progress = True
        return self._snapshot("response.in_progress", ResponseStatus.IN_PROGRESS)

    def _snapshot(self, type_: str, status: ResponseStatus) -> bytes:
        left_out = self._writer.is_left_out
        return self._writer.emit(type_, b"" if left_out else b'"response":' + self._object.of(status, ()))

    def _say(self, kind: str, prefix: str, text: str) -> bytes:
        told = self._calls.close() if self._calls else b""
        if self._kind is not kind:
            told += self._close_item() + self._open(kind, prefix)
        return told + b"".join([self._delta(piece) for piece in pieces(text)])

    def _delta(self, text: str) -> bytes:
        self._said.append(text)
        return self._writer.emit_text(self._before_number, self._after_number, text)

    def _open(self, kind: str, prefix: str) -> bytes:
        self._kind, self._item_id, self._said = kind, self._writer.new_id(prefix), []
        added, at = self._writer.added(self._open_item("in_progress")), self._writer.at(self._item_id)
        if kind is _MESSAGE:
            where = at + b',"content_index":0,"logprobs":[]'
            self._before_number, self._after_number = delta_head("response.output_text.delta", where)
            part = at + b',"content_index":0,"part":' + _encode(items.text_part(""))
            return added + self._writer.emit("response.content_part.added", part)
        where = at + b',"summary_index":0'
        self._before_number, self._after_number = delta_head("response.reasoning_summary_text.delta", where)
        part = where + b',"part":{"type":"summary_text","text":""}'
        return added + self._writer.emit("response.reasoning_summary_part.added", part)

    def _close_item(self, status: str = "completed") -> bytes:
        """The message or the thought that is open, if one is."""
        if not self._kind:
            return b""
        emit, item, said = self._writer.emit, self._open_item(status), "".join(self._said)
        at, text = self._writer.at(self._item_id), _encode(said)
        if self._kind is _MESSAGE:
            at += b',"content_index":0'
            closed = emit("response.output_text.done", at + b',"logprobs":[],"text":' + text)
            closed += emit("response.content_part.done", at + b',"part":' + _encode(items.text_part(said)))
        else:
            at += b',"summary_index":0'
            closed = emit("response.reasoning_summary_text.done", at + b',"text":' + text)
            part = b',"part":{"type":"summary_text","text":' + text + b"}"
            closed += emit("response.reasoning_summary_part.done", at + part)
        self._kind = ""
        return closed + self._writer.done(item)

    def _open_item(self, status: str) -> dict[str, Any]:
        text = "".join(self._said) if self._said or status != "in_progress" else None
        make = items.message if self._kind is _MESSAGE else items.reasoning
        return make(self._item_id, text, status)

    def _approval(self, asked: ApprovalRequest) -> bytes:
        told = self._calls.close() if self._calls else b""
        if self._form.shows(Shows.APPROVALS):
            item = items.approval_request(asked)
            return told + self._close_item() + self._writer.added(item) + self._writer.done(item)
        gap = BLANK_LINE if self._kind is _MESSAGE and self._said else ""
        return told + self._say(_MESSAGE, "msg", gap + question(asked))

    def _close(self, end: Ended | Failed) -> bytes:
        self._end = end
        told = self._calls.close() if self._calls else b""
        if isinstance(end, Ended):
            told += self._close_item("incomplete" if end.cut_off and self._kind is _MESSAGE else "completed")
        else:
            if not self._writer.output and not self._kind and end.failure.delivery is not Delivery.NO:
                # Some clients send again after a failure before which there was no item.
                told += self._open(_MESSAGE, "msg")
            told += self._close_item("incomplete")
        status = self._form.status_after(end)
        type_ = "failed" if status is ResponseStatus.CANCELLED else status.value
        return told + self._last(type_, self._ended(end)) + DONE

    def _last(self, type_: str, response: bytes) -> bytes:
        return self._writer.emit(f"response.{type_}", b'"response":' + response)

    def _ended(self, end: TurnEvent) -> bytes:
        return self._object.ended(end, self._writer.output, self._usage, self._ended_at())


def whole_response(events: Sequence[TurnEvent], encoder: ResponseEncoder) -> bytes:
    """What all events add up to. The encoder is one that leaves all events out."""
    encoder.opening()
    encoder.encode(events)
    return in_lines(encoder.response())
