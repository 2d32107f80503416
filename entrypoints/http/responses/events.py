"""How turn events become the numbered events of a response, and the response itself.

The same turn events always lead to the same numbers, so a client can read on from any of them. Order, as OpenAI's SDKs
insist on it: `created` first; items one after the other; each that is added is done before the next; the end last."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from domain.model.approvals import question
from domain.model.events import ApprovalRequest, Ended, Failed, Reasoning, Text, ToolCall, ToolResult, TurnEvent, Usage
from domain.model.failures import Delivery
from domain.model.response import ResponseStatus, status_after
from entrypoints.http.api_errors import ApiError
from entrypoints.http.responses import items
from entrypoints.http.responses.form import ResponseForm, Shows
from entrypoints.http.responses.item_ids import item_id
from entrypoints.http.responses.response_object import ResponseObject
from entrypoints.http.sse import in_lines
from entrypoints.http.text_pieces import ALWAYS_SHORT, pieces

DONE = b"data: [DONE]\n\n"
# For whoever wants no events, but what they add up to.
NO_EVENTS = 1 << 62
_BLANK_LINE = "\n\n"
_NO_RESULT = "(The agent has not told what came of it.)"

_encode = msgspec.json.Encoder().encode


class _Call:
    """A tool call that is not told to its end yet."""

    def __init__(self, call: ToolCall) -> None:
        self.call_id = call.call_id
        self.name = call.name
        self.pieces: list[str] = []
        self.result: ToolResult | None = None
        self.id: str | None = None

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)


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
        self._after = after
        self._number = 0
        self._has_begun = False
        self._in_progress = False
        self._object = ResponseObject(form)
        self._id = form.record.id
        self._output: list[bytes] = []
        self._kind = ""
        self._item_id = ""
        self._said: list[str] = []
        self._before_text = self._after_number = b""
        self._calls: dict[str, _Call] = {}
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
        return begun + self._last("failed", self._object.failed(self._output, error)) + DONE

    def response(self) -> bytes:
        """The response as it is now."""
        if self._end is not None:
            return self._ended(self._end)
        status = ResponseStatus.IN_PROGRESS if self._in_progress else self._form.record.status
        output = [*self._output, *([_encode(self._open_item("in_progress"))] if self._kind else [])]
        return self._object.of(status, output)

    def _event(self, event: TurnEvent) -> bytes:
        if self._kind == "message" and isinstance(event, Text) and 0 < len(event.text) <= ALWAYS_SHORT:
            return self._delta(event.text)
        begun = b"" if self._in_progress else self._begin() + self._go_on()
        match event:
            case Text(text=text) if text:
                return begun + self._text(text)
            case Reasoning(text=text) if text and self._form.shows(Shows.REASONING):
                return begun + self._close_calls() + self._reasoning(text)
            case ToolCall():
                return begun + self._call(event)
            case ToolResult():
                return begun + self._result(event)
            case ApprovalRequest():
                return begun + self._close_calls() + self._approval(event)
            case Usage():
                self._usage = event
            case Ended() | Failed():
                return begun + self._close(event)
        return begun

    def _begin(self) -> bytes:
        if self._has_begun:
            return b""
        self._has_begun = True
        self._id = self._identify() or self._id
        self._object = self._object.named(self._id)
        begun = self._emit("response.created", self._response_member(self._form.record.status))
        if self._form.record.background:
            begun += self._emit("response.queued", self._response_member(ResponseStatus.QUEUED))
        return begun

    def _go_on(self) -> bytes:
        if self._in_progress:
            return b""
        self._in_progress = True
        return self._emit("response.in_progress", self._response_member(ResponseStatus.IN_PROGRESS))

    def _response_member(self, status: ResponseStatus) -> bytes:
        if self._number <= self._after:
            return b""
        if self._form.record.background and not self._in_progress:
            status = ResponseStatus.QUEUED
        elif not self._in_progress:
            status = ResponseStatus.IN_PROGRESS
        return b'"response":' + self._object.of(status, ())

    def _text(self, text: str) -> bytes:
        added = self._close_calls()
        if self._kind != "message":
            added += self._close_item() + self._open("message", "msg")
        return added + b"".join([self._delta(piece) for piece in pieces(text)])

    def _reasoning(self, text: str) -> bytes:
        added = b""
        if self._kind != "reasoning":
            added += self._close_item() + self._open("reasoning", "rs")
        return added + b"".join([self._delta(piece) for piece in pieces(text)])

    def _delta(self, text: str) -> bytes:
        self._said.append(text)
        number = self._number
        self._number = number + 1
        if number <= self._after:
            return b""
        return self._before_text + b"%d" % number + self._after_number + _encode(text) + b"}\n\n"

    def _open(self, kind: str, prefix: str) -> bytes:
        """A message, or what the agent thinks."""
        self._kind, self._item_id, self._said = kind, item_id(prefix, self._id, len(self._output)), []
        added = self._added(self._open_item("in_progress"))
        at = self._at()
        if kind == "message":
            type_, where = b"response.output_text.delta", at + b',"content_index":0,"logprobs":[]'
            part = self._emit(
                "response.content_part.added", at + b',"content_index":0,"part":' + _encode(items.text_part(""))
            )
        else:
            type_, where = b"response.reasoning_summary_text.delta", at + b',"summary_index":0'
            part = self._emit(
                "response.reasoning_summary_part.added",
                at + b',"summary_index":0,"part":{"type":"summary_text","text":""}',
            )
        self._before_text = b"event: " + type_ + b'\ndata: {"type":"' + type_ + b'","sequence_number":'
        self._after_number = b"," + where + b',"delta":'
        return added + part

    def _close_item(self, status: str = "completed") -> bytes:
        """The message or the thought that is open, if one is."""
        if not self._kind:
            return b""
        item, at, said = self._open_item(status), self._at(), "".join(self._said)
        text = _encode(said)
        if self._kind == "message":
            closed = self._emit(
                "response.output_text.done", at + b',"content_index":0,"logprobs":[],"text":' + text
            ) + self._emit(
                "response.content_part.done",
                at + b',"content_index":0,"part":' + _encode(items.text_part(said)),
            )
        else:
            closed = self._emit(
                "response.reasoning_summary_text.done", at + b',"summary_index":0,"text":' + text
            ) + self._emit(
                "response.reasoning_summary_part.done",
                at + b',"summary_index":0,"part":{"type":"summary_text","text":' + text + b"}",
            )
        self._kind = ""
        return closed + self._done(item)

    def _open_item(self, status: str) -> dict[str, Any]:
        text = "".join(self._said) if self._said or status != "in_progress" else None
        make = items.message if self._kind == "message" else items.reasoning
        return make(self._item_id, text, status)

    def _call(self, call: ToolCall) -> bytes:
        """Calls are told one after the other, in the order in which they began."""
        added = self._close_item()
        if not (self._form.shows(Shows.MCP_CALLS) or self._form.shows(Shows.FUNCTION_CALLS)):
            return added
        known = self._calls.get(call.call_id)
        if known is None:
            known = self._calls[call.call_id] = _Call(call)
            added += self._open_call(known)
        return added + b"".join([self._arguments(known, piece) for piece in pieces(call.arguments) if piece])

    def _open_call(self, call: _Call) -> bytes:
        """If it is the first of those that are left."""
        if not self._form.shows(Shows.MCP_CALLS) or next(iter(self._calls.values())) is not call:
            return b""
        call.id = item_id("mcp", self._id, len(self._output))
        added = self._added(items.mcp_call(call.id, call.name, "", "in_progress"))
        return added + self._emit("response.mcp_call.in_progress", self._at(call.id))

    def _arguments(self, call: _Call, piece: str) -> bytes:
        call.pieces.append(piece)
        return self._argument_delta(call, piece)

    def _argument_delta(self, call: _Call, piece: str) -> bytes:
        if call.id is None:
            return b""
        return self._emit("response.mcp_call_arguments.delta", self._at(call.id) + b',"delta":' + _encode(piece))

    def _result(self, result: ToolResult) -> bytes:
        call = self._calls.get(result.call_id)
        if call is None:
            return b""
        call.result = result
        told = b""
        while self._calls and (first := next(iter(self._calls.values()))).result is not None:
            told += self._close_call(first)
        return told

    def _close_calls(self) -> bytes:
        """Whatever came of them was not told."""
        told = b""
        while self._calls:
            told += self._close_call(next(iter(self._calls.values())))
        return told

    def _close_call(self, call: _Call) -> bytes:
        told = self._close_function(call) if call.id is None else self._close_mcp_call(call)
        del self._calls[call.call_id]
        if self._calls and self._form.shows(Shows.MCP_CALLS):
            following = next(iter(self._calls.values()))
            told += self._open_call(following)
            told += b"".join([self._argument_delta(following, piece) for piece in following.pieces])
        return told

    def _close_mcp_call(self, call: _Call) -> bytes:
        assert call.id is not None  # noqa: S101
        arguments, at, result = call.arguments.strip() or "{}", self._at(call.id), call.result
        told = b"" if call.pieces else self._argument_delta(call, arguments)
        told += self._emit("response.mcp_call_arguments.done", at + b',"arguments":' + _encode(arguments))
        if result is None:
            return told + self._done(items.mcp_call(call.id, call.name, arguments, "incomplete"))
        if result.ok:
            told += self._emit("response.mcp_call.completed", at)
            return told + self._done(items.mcp_call(call.id, call.name, arguments, "completed", output=result.text))
        told += self._emit("response.mcp_call.failed", at)
        return told + self._done(items.mcp_call(call.id, call.name, arguments, "failed", error=result.text))

    def _close_function(self, call: _Call) -> bytes:
        """Both at once: a connection that breaks between them would leave a function that Open WebUI runs itself."""
        id_, arguments = item_id("fc", self._id, len(self._output)), call.arguments.strip() or "{}"
        at = self._at(id_)
        told = self._added(items.function_call(id_, call.call_id, call.name, "", "in_progress"))
        told += b"".join(
            [
                self._emit("response.function_call_arguments.delta", at + b',"delta":' + _encode(piece))
                for piece in pieces(arguments)
            ]
        )
        told += self._emit(
            "response.function_call_arguments.done",
            at + b',"name":' + _encode(call.name) + b',"arguments":' + _encode(arguments),
        )
        told += self._done(items.function_call(id_, call.call_id, call.name, arguments, "completed"))
        output = items.function_call_output(
            item_id("fco", self._id, len(self._output)),
            call.call_id,
            call.result.text if call.result is not None else _NO_RESULT,
        )
        return told + self._added(output) + self._done(output)

    def _approval(self, asked: ApprovalRequest) -> bytes:
        if self._form.shows(Shows.APPROVALS):
            item = items.approval_request(asked)
            return self._close_item() + self._added(item) + self._done(item)
        gap = _BLANK_LINE if self._kind == "message" and self._said else ""
        return self._text(gap + question(asked))

    def _close(self, end: Ended | Failed) -> bytes:
        told, self._end = self._close_calls(), end
        if isinstance(end, Ended):
            cut_off = end.cut_off and self._kind == "message"
            told += self._close_item("incomplete" if cut_off else "completed")
        else:
            if not self._output and not self._kind and end.failure.delivery is not Delivery.NO:
                # Some clients send again after a failure before which there was no item.
                told += self._open("message", "msg")
            told += self._close_item("incomplete")
        status = status_after(end)
        if status is ResponseStatus.INCOMPLETE and self._form.shows(Shows.CUT_OFF_AS_COMPLETED):
            status = ResponseStatus.COMPLETED
        type_ = "failed" if status is ResponseStatus.CANCELLED else status.value
        return told + self._last(type_, self._ended(end)) + DONE

    def _last(self, type_: str, response: bytes) -> bytes:
        return self._emit(f"response.{type_}", b'"response":' + response)

    def _ended(self, end: TurnEvent) -> bytes:
        return self._object.ended(end, self._output, self._usage, self._ended_at())

    def _added(self, item: dict[str, Any]) -> bytes:
        where = b'"output_index":%d,"item":' % len(self._output)
        return self._emit("response.output_item.added", where + _encode(item))

    def _done(self, item: dict[str, Any]) -> bytes:
        encoded = _encode(item)
        told = self._emit("response.output_item.done", b'"output_index":%d,"item":' % len(self._output) + encoded)
        self._output.append(encoded)
        return told

    def _at(self, id_: str | None = None) -> bytes:
        return b'"item_id":' + _encode(id_ or self._item_id) + b',"output_index":%d' % len(self._output)

    def _emit(self, type_: str, members: bytes) -> bytes:
        number = self._number
        self._number = number + 1
        if number <= self._after:
            return b""
        name = type_.encode()
        return b"event: %b\ndata: {%b}\n\n" % (name, b'"type":"%b","sequence_number":%d,%b' % (name, number, members))


def whole_response(events: Sequence[TurnEvent], encoder: ResponseEncoder) -> bytes:
    """What all events add up to. The encoder is one that leaves all events out."""
    encoder.opening()
    encoder.encode(events)
    return in_lines(encoder.response())
