"""How a turn event becomes an OpenAI chunk. One encoder per answer; its constant parts are made once."""

import re
from collections.abc import Iterable

import msgspec

from domain.model.answer_text import AnswerText, ReasoningText
from domain.model.events import Ended, Failed, ToolCall, ToolResult, TurnEvent, Usage
from entrypoints.http.api_errors import ApiError, of_failure
from entrypoints.http.openai.completion import AnswerForm, TokenUsage, finish_reason
from entrypoints.http.openai.tool_display import ToolDisplay
from entrypoints.http.sse import DONE, in_lines
from entrypoints.http.text_pieces import ALWAYS_SHORT, pieces
from entrypoints.http.tool_call_ids import LONGEST_TOOL_NAME, shown_id

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
        self._usage = form.usage_unknown
        self._call_indices: dict[str, int] = {}
        self._calls = 0
        self._without_arguments: set[str] = set()
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
        return self._before + b'{"role":"assistant","content":""}' + self._after

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
            if len(text) > ALWAYS_SHORT:
                return b"".join([self._before_text + self._encode(piece) + self._after_text for piece in pieces(text)])
            return self._before_text + self._encode(text) + self._after_text
        if self._reasoning and (thought := self._reasoning.of(event)):
            if len(thought) > ALWAYS_SHORT:
                return b"".join([self._reasoning_chunk(piece) for piece in pieces(thought)])
            return self._reasoning_chunk(thought)
        match event:
            case ToolCall() if self._tools is ToolDisplay.CALLS:
                return self._tool_call(event) if len(event.arguments) <= ALWAYS_SHORT else self._long_tool_call(event)
            case ToolResult(call_id=call_id) if self._tools is ToolDisplay.CALLS:
                return self._completed_call(call_id)
            case ToolCall(call_id=call_id, name=str(name)) if name and self._tools is ToolDisplay.STATUS:
                return self._status(call_id, name)
            case ToolResult(call_id=call_id) if self._tools is ToolDisplay.STATUS:
                return self._status_done(call_id)
            case Usage():
                self._usage = event
            case Ended():
                return self._completed_calls() + self._end(finish_reason(event))
            case Failed(failure=failure):
                return self._statuses_done() + self.failure(of_failure(failure, self._form.repeated_for))
        return b""

    def _end(self, reason: str) -> bytes:
        end = self._statuses_done() + self._before + b'{},"finish_reason":"' + reason.encode() + b'"}]' + self._tail
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
            index = self._call_indices[call.call_id] = self._calls
            self._calls += 1
            self._without_arguments.add(call.call_id)
            function = _Function(call.arguments, call.name[:LONGEST_TOOL_NAME])
            delta = _ToolCallDelta(index, function, shown_id(call.call_id), "function")
        else:
            delta = _ToolCallDelta(index, _Function(call.arguments))
        if self._without_arguments and call.arguments.strip():
            self._without_arguments.discard(call.call_id)
        return self._tool_call_chunk(delta)

    def _long_tool_call(self, call: ToolCall) -> bytes:
        first, *rest = pieces(call.arguments)
        parts = [ToolCall(call.call_id, call.name, first), *[ToolCall(call.call_id, "", piece) for piece in rest]]
        return b"".join([self._tool_call(part) for part in parts])

    def _completed_call(self, call_id: str) -> bytes:
        """A call of a tool that takes no arguments shows the JSON for that, as soon as it is known to be all there.

        What comes of the same id after that is another call: some language models number those of each step anew."""
        index = self._call_indices.pop(call_id, None)
        if index is None or call_id not in self._without_arguments:
            return b""
        self._without_arguments.discard(call_id)
        return self._tool_call_chunk(_ToolCallDelta(index, _Function("{}")))

    def _completed_calls(self) -> bytes:
        return b"".join([self._completed_call(call_id) for call_id in list(self._call_indices)])

    def _reasoning_chunk(self, thought: str) -> bytes:
        return self._before + b'{"reasoning_content":' + self._encode(thought) + b"}" + self._after

    def _tool_call_chunk(self, delta: _ToolCallDelta) -> bytes:
        return self._before + b'{"tool_calls":[' + self._encode(delta) + b"]}" + self._after
