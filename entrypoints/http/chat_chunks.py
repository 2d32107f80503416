"""How a turn event becomes an OpenAI chunk. One encoder per answer; its constant parts are made once."""

from collections.abc import Iterable

import msgspec

from domain.model.answer_text import AnswerText
from domain.model.events import Ended, Failed, Text, ToolCall, TurnEvent
from domain.model.tool_calls import TOOL_CALL_ID_PREFIX
from entrypoints.http.api_errors import ApiError, of_failure

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"

# Line separators that JSON allows in strings, but at which some readers of lines split.
_LINE_SEPARATORS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))


class _Function(msgspec.Struct, frozen=True, omit_defaults=True):
    arguments: str
    name: str = ""


class _ToolCallDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    index: int
    function: _Function
    id: str = ""
    type: str = ""


class ChunkEncoder:
    """Encodes one answer as Server-Sent Events."""

    def __init__(self, answer_id: str, created: int, model: str, show_tool_calls: bool) -> None:
        self._show_tool_calls = show_tool_calls
        self._text = AnswerText()
        self._call_indices: dict[str, int] = {}
        self._encode = msgspec.json.Encoder().encode
        head = {"id": answer_id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._before = b"data: " + self._encode(head)[:-1] + b',"choices":[{"index":0,"delta":'
        self._after = b',"finish_reason":null}]}\n\n'

    def opening(self) -> bytes:
        """The first event of every stream, before any error: one SDK re-sends on an error that comes first."""
        return self._chunk(b'{"role":"assistant","content":""}')

    def encode(self, events: Iterable[TurnEvent]) -> bytes:
        """All that these events add to the stream, in one piece; empty if they show nothing."""
        encoded = b"".join([self._event(event) for event in events])
        for raw, escaped in _LINE_SEPARATORS:
            if raw in encoded:
                encoded = encoded.replace(raw, escaped)
        return encoded

    def failure(self, error: ApiError) -> bytes:
        """The end of a stream that failed after it had begun."""
        return b"data: " + self._encode(error.body) + b"\n\n" + DONE

    def _event(self, event: TurnEvent) -> bytes:
        text = self._text.of(event)
        if isinstance(event, Text):
            return self._chunk(b'{"content":' + self._encode(text) + b"}")
        if isinstance(event, ToolCall):
            return self._tool_call(event) if self._show_tool_calls else b""
        if isinstance(event, Ended):
            return self._before + b'{},"finish_reason":"stop"}]}\n\n' + DONE
        if isinstance(event, Failed):
            return self.failure(of_failure(event.failure))
        return b""

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
