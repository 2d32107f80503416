"""LettaBot's own wire shapes: whole answers, and streams of events. Source: LettaBot's configuration page."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from domain.model.answer_text import AnswerText, ReasoningText, whole_text
from domain.model.events import Ended, Failed, ToolCall, ToolResult, TurnEvent
from entrypoints.http.api_errors import ApiError, of_failure
from entrypoints.http.sse import in_lines


class NativeAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The whole answer."""

    response: str
    agent_name: str
    success: bool = True


class NativeError(msgspec.Struct, frozen=True):
    """An error, in the words that OpenAI's clients get as well."""

    error: str
    success: bool = False


class _Event(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True, rename="camel"):
    pass


class _Reasoning(_Event, frozen=True, tag="reasoning"):
    content: str


class _Assistant(_Event, frozen=True, tag="assistant"):
    content: str


class _ToolCall(_Event, frozen=True, tag="tool_call"):
    """`tool_input` is the JSON that the agent wrote, or, if it is none, the text."""

    tool_name: str
    tool_call_id: str
    tool_input: Any


class _ToolResult(_Event, frozen=True, tag="tool_result"):
    tool_call_id: str
    content: str
    is_error: bool


class _Result(_Event, frozen=True, tag="result"):
    success: bool
    error: str | None = None


def whole_answer(events: Sequence[TurnEvent], agent_name: str) -> bytes:
    """The answer to a client that wants no stream."""
    return msgspec.json.encode(NativeAnswer(whole_text(events), agent_name))


class NativeEncoder:
    """Encodes one answer as LettaBot's events. A tool call is one event, as soon as its arguments are complete."""

    def __init__(self, repeated_for: float) -> None:
        self._repeated_for = repeated_for
        self._text = AnswerText()
        self._reasoning = ReasoningText()
        self._call: list[ToolCall] = []
        self._encode = msgspec.json.Encoder().encode

    def opening(self) -> bytes:
        """Nothing: the first event is the agent's."""
        return b""

    def encode(self, events: Sequence[TurnEvent]) -> bytes:
        """All that these events add to the stream, in one piece; empty if they show nothing."""
        return in_lines(b"".join([self._sent(shown) for event in events for shown in self._shown(event)]))

    def failure(self, error: ApiError) -> bytes:
        """The end of a stream that failed after it had begun."""
        return self._sent(_Result(success=False, error=error.body.error.message))

    def _shown(self, event: TurnEvent) -> Iterable[_Event]:
        if isinstance(event, ToolCall) and self._call and self._call[0].call_id == event.call_id:
            self._call.append(event)
            return
        yield from self._finished_call()
        if text := self._text.of(event):
            yield _Assistant(text)
        if thought := self._reasoning.of(event):
            yield _Reasoning(thought)
        match event:
            case ToolCall():
                self._call = [event]
            case ToolResult(call_id=call_id, text=result, ok=ok):
                yield _ToolResult(call_id, result, not ok)
            case Failed(failure=failure):
                yield _Result(success=False, error=of_failure(failure, self._repeated_for).body.error.message)
            case Ended():
                yield _Result(success=True)

    def _finished_call(self) -> Iterable[_Event]:
        if self._call:
            first, arguments = self._call[0], "".join([piece.arguments for piece in self._call])
            self._call = []
            yield _ToolCall(first.name, first.call_id, _read(arguments))

    def _sent(self, event: _Event) -> bytes:
        return b"data: " + self._encode(event) + b"\n\n"


def _read(arguments: str) -> Any:
    try:
        return msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments
