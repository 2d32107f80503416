"""LettaBot's own wire shapes: whole answers, and streams of events. Source: LettaBot's configuration page."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from domain.model.answer_text import AnswerText, ReasoningText, whole_text
from domain.model.events import ApprovalRequest, Ended, Failed, ToolCall, ToolResult, TurnEvent
from entrypoints.http.api_errors import ApiError, of_failure
from entrypoints.http.sse import in_lines
from entrypoints.http.text_pieces import ALWAYS_SHORT, LONGEST, pieces
from entrypoints.http.tool_call_ids import LONGEST_TOOL_CALL_ID, LONGEST_TOOL_NAME, shown_id


class NativeAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The whole answer."""

    response: str
    agent_name: str
    success: bool = True


class NativeError(msgspec.Struct, frozen=True):
    """An error, in the words that OpenAI's clients get as well; of jobs, also with the same code, if it has one."""

    error: str
    success: bool = False
    code: str | msgspec.UnsetType = msgspec.UNSET


class _Event(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True, rename="camel"):
    pass


class _Reasoning(_Event, frozen=True, tag="reasoning"):
    content: str


class _Assistant(_Event, frozen=True, tag="assistant"):
    content: str


class _ToolCall(_Event, frozen=True, tag="tool_call"):
    """`tool_input` is the JSON that the agent wrote, or, if it is none, the text. If it is long, there are several
    events of the same id, and `tool_input` is the text in pieces."""

    tool_name: str
    tool_call_id: str
    tool_input: Any


class _ToolResult(_Event, frozen=True, tag="tool_result"):
    """If it is long, there are several events of the same id, with `content` in pieces."""

    tool_call_id: str
    content: str
    is_error: bool


class _ApprovalRequest(_Event, frozen=True, tag="approval_request"):
    """The agent stops here until somebody approves or denies this call. LettaBot had no such event: the text before it
    says the same."""

    tool_name: str
    tool_call_id: str
    tool_input: Any


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
        self._calls: dict[str, list[ToolCall]] = {}
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
        if isinstance(event, ToolCall):
            # Pieces of calls that are made at the same time may come in any order.
            self._calls.setdefault(event.call_id, []).append(event)
        elif self._calls:
            yield from self._completed_calls()
        if text := self._text.of(event):
            yield from map(_Assistant, pieces(text))
        if thought := self._reasoning.of(event):
            yield from map(_Reasoning, pieces(thought))
        match event:
            case ToolResult(call_id=call_id, text=result, ok=ok):
                shown = _shown_id(call_id)
                yield from [_ToolResult(shown, piece, not ok) for piece in pieces(result)]
            case ApprovalRequest(call_id=call_id, name=name, arguments=arguments):
                shown = _shown_id(call_id)
                yield from [_ApprovalRequest(name[:LONGEST_TOOL_NAME], shown, each) for each in _inputs(arguments)[:1]]
            case Failed(failure=failure):
                yield _Result(success=False, error=of_failure(failure, self._repeated_for).body.error.message)
            case Ended():
                yield _Result(success=True)

    def _completed_calls(self) -> Iterable[_Event]:
        calls, self._calls = self._calls, {}
        for call_id, parts in calls.items():
            arguments = "".join([part.arguments for part in parts])
            name = parts[0].name[:LONGEST_TOOL_NAME]
            yield from [_ToolCall(name, _shown_id(call_id), shown) for shown in _inputs(arguments)]

    def _sent(self, event: _Event) -> bytes:
        return b"data: " + self._encode(event) + b"\n\n"


def _shown_id(call_id: str) -> str:
    return call_id if len(call_id) <= LONGEST_TOOL_CALL_ID else shown_id(call_id)


def _inputs(arguments: str) -> Sequence[Any]:
    if not arguments.strip():
        return ({},)
    try:
        read = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return pieces(arguments)
    is_short = len(arguments) <= ALWAYS_SHORT or len(msgspec.json.encode(read)) <= LONGEST
    return (read,) if is_short else pieces(arguments)
