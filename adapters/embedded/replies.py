"""From a reply to turn events: the full range of them, in pieces, so that clients can be tried against this agent."""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from domain.model.events import Accepted, Ended, Reasoning, Text, ToolCall, ToolResult, TurnEvent

_ARGUMENTS_PIECE = 12
_THOUGHT_PIECE = 4


class ToolUse(msgspec.Struct, frozen=True):
    """A tool that was used, and what it gave back."""

    name: str
    arguments: Mapping[str, object]
    result: str
    ok: bool = True


class Reply(msgspec.Struct, frozen=True):
    """What the agent thought, said, and, if it opened the notebook, did."""

    thought: str
    answer: str
    tool: ToolUse | None = None


def events(reply: Reply) -> Iterator[TurnEvent]:
    """The turn in which this reply is given. No `Usage`: no tokens were used."""
    yield Accepted()
    words = _words(reply.thought)
    for start in range(0, len(words), _THOUGHT_PIECE):
        yield Reasoning("".join(words[start : start + _THOUGHT_PIECE]))
    if reply.tool is not None:
        yield from _tool_events(reply.tool, f"call-{uuid.uuid4().hex[:24]}")
    for word in _words(reply.answer):
        yield Text(word)
    yield Ended()


def _tool_events(tool: ToolUse, call_id: str) -> Iterator[TurnEvent]:
    yield ToolCall(call_id, name=tool.name)
    arguments = msgspec.json.encode(tool.arguments).decode()
    for start in range(0, len(arguments), _ARGUMENTS_PIECE):
        yield ToolCall(call_id, arguments=arguments[start : start + _ARGUMENTS_PIECE])
    yield ToolResult(call_id, tool.result, tool.ok)


def _words(text: str) -> Sequence[str]:
    """Joined, they are the text again."""
    return re.findall(r"\s*\S+|\s+$", text)
