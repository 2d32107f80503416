"""How a turn event becomes an OpenAI chunk. One encoder per answer; its constant parts are made once."""

import re
from collections.abc import Iterable

import msgspec

from domain.model.answer_text import AnswerText, ReasoningText
from domain.model.events import Ended, Failed, ToolCall, ToolResult, TurnEvent, Usage
from domain.model.tool_calls import TOOL_CALL_ID_PREFIX, ToolDisplay
from entrypoints.http.api_errors import ApiError, of_failure
from entrypoints.http.chat_completion import AnswerForm, TokenUsage
from entrypoints.http.sse import in_lines

DONE = b"data: [DONE]\n\n"

_UNUSUAL = re.compile(r"[^\w .-]")
_LONGEST_NAME = 80


class _Function(msgspec.Struct, frozen=True, omit_defaults=True):
    arguments: str
    name: str = ""


class _ToolCallDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    index: int
    function: _Function
    id: str = ""
    type: str = ""


class _Status(msgspec.Struct, frozen=True):
    description: str
    done: bool


class _StatusEvent(msgspec.Struct, frozen=True):
    data: _Status
    type: str = "status"


class ChunkEncoder:
    """Encodes one answer as Server-Sent Events."""

    def __init__(self, form: AnswerForm, tools: ToolDisplay = ToolDisplay.CALLS) -> None:
        self._form = form
        self._tools = tools
        self._text = AnswerText()
        self._reasoning = ReasoningText() if form.reasoning else None
        self._usage: Usage | None = None
        self._call_indices: dict[str, int] = {}
        self._tool_names: dict[str, str] = {}
        self._encode = msgspec.json.Encoder().encode
        head = {
            "id": form.answer_id,
            "object": "chat.completion.chunk",
            "created": form.created,
            "model": form.model,
        }
        self._head = b"data: " + self._encode(head)[:-1]
        self._before = self._head + b',"choices":[{"index":0,"delta":'
        # With usage wanted, OpenAI's chunks all have the field, and one more than usual comes at the end.
        self._tail = b',"usage":null}\n\n' if form.usage else b"}\n\n"
        self._after = b',"finish_reason":null}]' + self._tail
        self._before_text = self._before + b'{"content":'
        self._after_text = b"}" + self._after

    def opening(self) -> bytes:
        """The first event of every stream, before any error: one SDK re-sends on an error that comes first."""
        return self._chunk(b'{"role":"assistant","content":""}')

    def encode(self, events: Iterable[TurnEvent]) -> bytes:
        """All that these events add to the stream, in one piece; empty if they show nothing."""
        return in_lines(b"".join([self._event(event) for event in events]))

    def failure(self, error: ApiError) -> bytes:
        """The end of a stream that failed after it had begun."""
        return b"data: " + self._encode(error.body) + b"\n\n" + DONE

    def _event(self, event: TurnEvent) -> bytes:
        if text := self._text.of(event):
            if self._reasoning:
                self._reasoning.of(event)
            return self._before_text + self._encode(text) + self._after_text
        if self._reasoning and (thought := self._reasoning.of(event)):
            return self._chunk(b'{"reasoning_content":' + self._encode(thought) + b"}")
        match event:
            case ToolCall() if self._tools is ToolDisplay.CALLS:
                return self._tool_call(event)
            case ToolCall(call_id=call_id, name=str(name)) if name and self._tools is ToolDisplay.STATUS:
                return self._status(call_id, name)
            case ToolResult(call_id=call_id) if self._tools is ToolDisplay.STATUS:
                return self._status_done(call_id)
            case Usage():
                self._usage = event
            case Ended():
                return self._end()
            case Failed(failure=failure):
                return self._statuses_done() + self.failure(of_failure(failure, self._form.repeated_for))
        return b""

    def _end(self) -> bytes:
        end = self._statuses_done() + self._before + b'{},"finish_reason":"stop"}]' + self._tail
        if self._form.usage and self._usage is not None:
            usage = self._encode(TokenUsage.of(self._usage))
            end += self._head + b',"choices":[],"usage":' + usage + b"}\n\n"
        return end + DONE

    def _status(self, call_id: str, tool: str, done: bool = False) -> bytes:
        """A line of Open WebUI's own above the answer, which no other client minds (recorded).

        Only ever built here, of nothing but a tool's name: Open WebUI acts on such events."""
        self._tool_names[call_id] = tool = _UNUSUAL.sub("_", tool)[:_LONGEST_NAME]
        event = _StatusEvent(_Status(f"Used {tool}" if done else f"Using {tool} ...", done))
        return self._head + b',"choices":[],"event":' + self._encode(event) + self._tail

    def _status_done(self, call_id: str) -> bytes:
        tool = self._tool_names.get(call_id)
        if tool is None:
            return b""
        status = self._status(call_id, tool, done=True)
        del self._tool_names[call_id]
        return status

    def _statuses_done(self) -> bytes:
        return b"".join([self._status_done(call_id) for call_id in list(self._tool_names)])

    def _tool_call(self, call: ToolCall) -> bytes:
        index = self._call_indices.get(call.call_id)
        if index is None:
            index = self._call_indices[call.call_id] = len(self._call_indices)
            delta = _ToolCallDelta(
                index, _Function(call.arguments, call.name), TOOL_CALL_ID_PREFIX + call.call_id, "function"
            )
        else:
            delta = _ToolCallDelta(index, _Function(call.arguments))
        return self._chunk(b'{"tool_calls":[' + self._encode(delta) + b"]}")

    def _chunk(self, delta: bytes) -> bytes:
        return self._before + delta + self._after
