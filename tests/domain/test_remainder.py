"""What a client still lacks when a broken answer is finished from the backend's record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.model.answer_text import whole_text
from domain.model.events import Accepted, Ended, Reasoning, Text, ToolCall, ToolResult, TurnEvent
from domain.model.remainder import ContradictionError, remainder

RECORD: list[TurnEvent] = [
    Reasoning("Let me look."),
    Text("I look."),
    ToolCall("call-1", "search", '{"q": "x"}'),
    ToolResult("call-1", "found"),
    Text("Here it is: x"),
    Ended(),
]


def test_all_of_it_when_nothing_was_streamed() -> None:
    assert list(remainder([Accepted("run-1")], RECORD)) == RECORD


def test_the_end_when_all_was_streamed() -> None:
    assert list(remainder(RECORD[:-1], RECORD)) == [Ended()]


def test_the_rest_of_a_text_and_what_follows() -> None:
    streamed: list[TurnEvent] = [Reasoning("Let me look."), Text("I "), Text("lo")]
    assert list(remainder(streamed, RECORD)) == [Text("ok."), *RECORD[2:]]


def test_the_rest_of_the_second_text() -> None:
    streamed = [*RECORD[:4], Text("Here it")]
    assert list(remainder(streamed, RECORD)) == [Text(" is: x"), Ended()]


def test_the_rest_of_a_call() -> None:
    streamed = [*RECORD[:2], ToolCall("call-1", "search"), ToolCall("call-1", arguments='{"q":')]
    assert list(remainder(streamed, RECORD)) == [ToolCall("call-1", arguments=' "x"}'), *RECORD[3:]]


def test_blanks_do_not_count() -> None:
    assert list(remainder([Text("\n Hello ")], [Text("Hello world")])) == [Text("world")]


def test_a_record_that_says_something_else_is_a_contradiction() -> None:
    with pytest.raises(ContradictionError):
        remainder([Text("Good morning")], [Text("Good night")])


@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1), min_size=1, max_size=4),
    cut=st.integers(0, 200),
)
def test_streamed_and_rest_together_are_the_record(texts: list[str], cut: int) -> None:
    record: list[TurnEvent] = []
    for number, text in enumerate(texts):
        record += [Text(text), ToolCall(f"call-{number}", "t", "{}"), ToolResult(f"call-{number}", "r")]
    pieces: list[TurnEvent] = []
    for event in record:
        pieces += [Text(character) for character in event.text] if isinstance(event, Text) else [event]
    streamed = pieces[:cut]
    assert whole_text([*streamed, *remainder(streamed, record)]) == whole_text(record)
