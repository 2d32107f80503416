"""Shapes of single events in streams: no line is too long, ids are short, arguments are always JSON."""

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.model.events import (
    Accepted,
    ApprovalRequest,
    Ended,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    TurnEvent,
)
from entrypoints.http.native.events import NativeEncoder
from entrypoints.http.openai.chat_request import read_chat_request
from entrypoints.http.openai.chunks import ChunkEncoder
from entrypoints.http.openai.completion import AnswerForm
from entrypoints.http.tool_call_ids import TOOL_CALL_ID_PREFIX, shown_id

LONGEST_LINE = 20_000

LONG_TEXTS = {
    "plain": "word " * 40_000,
    "no blank": "x" * 200_000,
    "quotes": '"\\' * 50_000,
    "controls": "\x00\x1f" * 50_000,
    "umlauts": "ä" * 100_000,
    "emoji": "\N{PARTY POPPER}" * 60_000,
    "line separators": "\u2028\u2029\u0085" * 30_000,
    "mixed": "".join(random.Random(1).choices('a"\n\x01é\u2028語\N{PARTY POPPER}', k=100_000)),
}


def deltas(events: Sequence[TurnEvent]) -> list[dict[str, Any]]:
    """Of the chunks of these events."""
    body = ChunkEncoder(AnswerForm("id", 0, "anna", reasoning=True)).encode(events).decode()
    return [choice["delta"] for chunk in decoded(body) for choice in chunk["choices"]]


def native(events: Sequence[TurnEvent]) -> list[dict[str, Any]]:
    return decoded(NativeEncoder(0).encode(events).decode())


def decoded(body: str) -> list[dict[str, Any]]:
    lines = [line for line in body.split("\n") if line]
    assert all(len(line.encode()) < LONGEST_LINE for line in lines)
    return [json.loads(line.removeprefix("data: ")) for line in lines if line != "data: [DONE]"]


def calls(events: Sequence[TurnEvent]) -> dict[str, str]:
    """The arguments of the calls that a client puts together, by id."""
    ids: dict[int, str] = {}
    arguments: dict[str, str] = {}
    for delta in deltas(events):
        for call in delta.get("tool_calls", ()):
            if "id" in call:
                ids[call["index"]] = call["id"]
            call_id = ids[call["index"]]
            arguments[call_id] = arguments.get(call_id, "") + call["function"]["arguments"]
    return arguments


@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS)
def test_long_text_comes_in_pieces_that_are_the_text(text: str) -> None:
    arguments = json.dumps([text], ensure_ascii=False)
    events: list[TurnEvent] = [Accepted(), Reasoning(text), Text(text), ToolCall("1", "tool", arguments)]
    shown = deltas(events)
    assert "".join(delta.get("content", "") for delta in shown) == text
    assert "".join(delta.get("reasoning_content", "") for delta in shown) == text
    assert json.loads(calls(events)["call_agent_1"]) == [text]
    # Once, in the first piece.
    assert [call["function"].get("name") for delta in shown for call in delta.get("tool_calls", ())].count("tool") == 1


def test_a_call_whose_id_was_used_before_is_a_call_of_its_own() -> None:
    events: list[TurnEvent] = [
        ToolCall("1", "look", ""),
        ToolResult("1", "", ok=True),
        ToolCall("1", "add", '{"x": 1}'),
    ]
    shown = [call for delta in deltas([Accepted(), *events, Ended()]) for call in delta.get("tool_calls", ())]
    assert [(call["index"], call["function"].get("name"), call["function"]["arguments"]) for call in shown] == [
        (0, "look", ""),
        (0, None, "{}"),
        (1, "add", '{"x": 1}'),
    ]


@pytest.mark.parametrize("name", LONG_TEXTS.values(), ids=LONG_TEXTS)
def test_the_name_of_a_tool_is_cut(name: str) -> None:
    events: list[TurnEvent] = [Accepted(), ToolCall("1", name, "{}"), ToolResult("1", "", ok=True), Ended()]
    (call,) = (call for delta in deltas(events) for call in delta.get("tool_calls", ()))
    assert call["function"]["name"] == name[:200] == native(events)[0]["toolName"]


@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS)
def test_long_text_comes_in_pieces_from_the_native_endpoint_too(text: str) -> None:
    arguments = json.dumps({"note": text}, ensure_ascii=False)
    call = ToolCall("1", "tool", arguments)
    events: list[TurnEvent] = [Reasoning(text), Text(text), call, ToolResult("1", text, ok=False), Ended()]
    shown = native(events)

    def joined(kind: str, field: str) -> str:
        return "".join(event[field] for event in shown if event["type"] == kind)

    assert joined("reasoning", "content") == joined("assistant", "content") == text
    assert joined("tool_result", "content") == text
    assert json.loads(joined("tool_call", "toolInput")) == {"note": text}
    parts = [event for event in shown if event["type"].startswith("tool_")]
    assert {event["toolCallId"] for event in parts} == {"1"}
    assert all(event["isError"] for event in parts if event["type"] == "tool_result")


def test_the_question_of_an_approval_comes_in_pieces() -> None:
    shown = deltas([ApprovalRequest("1", "write", "y" * 200_000), Ended()])
    assert "y" * 200_000 in "".join(delta.get("content", "") for delta in shown)


def test_what_is_short_stays_whole() -> None:
    assert deltas([Text("a" * 2000)]) == [{"content": "a" * 2000}]
    assert len(deltas([Text("a" * 15_900)])) == 1


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=100).map(lambda text: text * 300))
def test_any_text_is_the_same_when_it_is_joined(text: str) -> None:
    assert "".join(delta["content"] for delta in deltas([Text(text)] if text else [])) == text


# Calls without arguments.


@pytest.mark.parametrize("pieces", [[], [""], ["", ""], [" "], ["\n", "  "]])
@pytest.mark.parametrize("end", [[ToolResult("1", "done"), Ended()], [Text("Well."), Ended()], [Ended()]])
def test_a_call_without_arguments_shows_an_empty_object(pieces: list[str], end: list[TurnEvent]) -> None:
    events: list[TurnEvent] = [ToolCall("1", "now"), *[ToolCall("1", arguments=piece) for piece in pieces], *end]
    assert json.loads(calls(events)["call_agent_1"]) == {}
    assert [event["toolInput"] for event in native(events) if event["type"] == "tool_call"] == [{}]


def test_arguments_that_come_late_or_between_those_of_another_call_stay_what_they_are() -> None:
    events: list[TurnEvent] = [
        ToolCall("1", "first"),
        ToolCall("2", "second"),
        ToolCall("3", "third"),
        ToolCall("1", arguments='{"a":'),
        ToolCall("2", arguments='{"b":2}'),
        ToolCall("1", arguments="1}"),
        ToolResult("1", "one"),
        ToolResult("3", "three"),
        ToolResult("2", "two"),
        Ended(),
    ]
    assert calls(events) == {"call_agent_1": '{"a":1}', "call_agent_2": '{"b":2}', "call_agent_3": "{}"}
    assert [(event["toolName"], event["toolInput"]) for event in native(events) if event["type"] == "tool_call"] == [
        ("first", {"a": 1}),
        ("second", {"b": 2}),
        ("third", {}),
    ]


def test_a_call_that_was_cut_shows_no_more_than_it_had() -> None:
    assert calls([ToolCall("1", "now")]) == {"call_agent_1": ""}


# Ids of calls.

LETTA_IDS = ["call-5d1e8a34-2a5b-4a0f-9d0e-6f9c6c1f3b1a", "toolu_01A09q90qw90lq917835lq9", "x", "c" * 200, "ö" * 60]


@pytest.mark.parametrize("call_id", LETTA_IDS)
def test_ids_are_short_and_recognised_when_they_come_back(call_id: str) -> None:
    shown = shown_id(call_id)
    assert len(shown) <= 40
    assert shown.startswith(TOOL_CALL_ID_PREFIX)
    assert shown == shown_id(call_id)
    assert list(calls([ToolCall(call_id, "now"), Ended()])) == [shown]
    for answered in (shown, TOOL_CALL_ID_PREFIX + call_id):
        tail = [{"role": "user", "content": "hello"}, {"role": "tool", "tool_call_id": answered, "content": "x"}]
        assert read_chat_request(json.dumps({"messages": tail}).encode()).message is None


def test_a_short_id_is_still_there_to_be_read() -> None:
    assert shown_id("toolu_01A09q90qw90lq917835lq9") == "call_agent_toolu_01A09q90qw90lq917835lq9"


def test_different_calls_have_different_ids() -> None:
    assert len({shown_id(f"call-{'0' * 40}{number}") for number in range(1000)}) == 1000


@pytest.mark.parametrize("call_id", LETTA_IDS)
def test_the_native_endpoint_has_short_ids_too(call_id: str) -> None:
    call, result, _ = native([ToolCall(call_id, "now"), ToolResult(call_id, "noon"), Ended()])
    assert call["toolCallId"] == result["toolCallId"]
    assert len(call["toolCallId"]) <= 40
