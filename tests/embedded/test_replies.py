"""How a reply becomes turn events."""

import json

from adapters.embedded.replies import Reply, ToolUse, events
from domain.model.events import Accepted, Ended, Reasoning, Text, ToolCall, ToolResult

PLAIN = Reply("Somebody says hello to me.", "Good day,\nhow are  you? ")
WITH_TOOL = Reply("Into the notebook.", "Done.", ToolUse("add_todos", {"todos": ["buy milk", "“é”"]}, "added"))


def test_the_answer_comes_word_by_word_and_joins_to_itself() -> None:
    words = [event.text for event in events(PLAIN) if isinstance(event, Text)]
    assert words == ["Good", " day,", "\nhow", " are", "  you?", " "]
    assert "".join(words) == PLAIN.answer


def test_the_thought_comes_in_a_few_pieces_before_anything_is_said() -> None:
    _, *middle, _ = events(PLAIN)
    pieces = [event.text for event in middle if isinstance(event, Reasoning)]
    assert "".join(pieces) == PLAIN.thought
    assert len(pieces) == 2
    assert [type(event) for event in middle[:2]] == [Reasoning, Reasoning]


def test_a_tool_is_called_between_thought_and_answer() -> None:
    order = list(dict.fromkeys(type(event) for event in events(WITH_TOOL)))
    assert order == [Accepted, Reasoning, ToolCall, ToolResult, Text, Ended]


def test_arguments_come_in_several_pieces_that_join_to_json() -> None:
    name, *pieces = [event for event in events(WITH_TOOL) if isinstance(event, ToolCall)]
    assert (name.name, name.arguments) == ("add_todos", "")
    assert len(pieces) > 1
    assert json.loads("".join(piece.arguments for piece in pieces)) == {"todos": ["buy milk", "“é”"]}


def test_calls_have_ids_of_their_own_and_runs_have_none() -> None:
    turns = [list(events(WITH_TOOL)) for _ in range(3)]
    assert all(turn[0] == Accepted() for turn in turns)
    calls = {event.call_id for turn in turns for event in turn if isinstance(event, ToolCall | ToolResult)}
    assert len(calls) == 3
    assert all(call.startswith("call-") for call in calls)
