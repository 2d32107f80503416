"""The events of responses, whatever an agent does: in OpenAI's order, and the same however they are read."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from domain.model.events import (
    Accepted,
    ApprovalRequest,
    Ended,
    Failed,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    TurnEvent,
    Usage,
)
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.response import ResponseRecord, new_response_id
from entrypoints.http.responses.events import NO_EVENTS, ResponseEncoder, whole_response
from entrypoints.http.responses.form import ResponseForm, Shows
from tests.fakes.gateway import ANNA
from tests.http.responses_client import Event, assert_in_order, events_in

IDS = st.sampled_from(["a", "b", "c"])
WORDS = st.text(max_size=8) | st.sampled_from(["", " ", "\u2028", "x" * 3_000, '"', "\n\n"])
MIDDLE = st.one_of(
    st.builds(Text, WORDS),
    st.builds(Reasoning, WORDS),
    st.builds(ToolCall, IDS, st.just("look"), st.sampled_from(["", "{", "{}", '{"a":'])),
    st.builds(ToolCall, IDS, st.just(""), st.sampled_from(["", "1}", "x" * 3_000])),
    st.builds(ToolResult, IDS, WORDS, st.booleans()),
    st.builds(ApprovalRequest, IDS, st.just("rm"), WORDS),
    st.builds(Usage, st.integers(0, 9), st.integers(0, 9)),
    st.just(Accepted("run-2")),
)
ENDS = st.sampled_from(
    [
        Ended(),
        Ended(cut_off=True),
        Failed(Failure(FailureCode.LLM_ERROR, Delivery.YES)),
        Failed(Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)),
        Failed(Failure(FailureCode.CANCELLED, Delivery.YES)),
    ]
)
TURNS = st.builds(lambda middle, end: [Accepted("run-1"), *middle, end], st.lists(MIDDLE, max_size=14), ENDS)
SHOWN = st.sets(st.sampled_from(sorted(set(Shows) - {Shows.FUNCTION_CALLS, Shows.MCP_CALLS}))).flatmap(
    lambda shown: st.sampled_from([None, Shows.MCP_CALLS, Shows.FUNCTION_CALLS]).map(
        lambda tools: frozenset({each.value for each in (*shown, tools) if each is not None})
    )
)


def form_of(shown: frozenset[str], background: bool) -> ResponseForm:
    return ResponseForm(
        ResponseRecord(id=new_response_id(), owner="", agent=ANNA, model="anna", background=background, shows=shown)
    )


def told(form: ResponseForm, events: list[TurnEvent], after: int = -1, size: int = 10**9) -> str:
    encoder = ResponseEncoder(form, lambda: 7.0, after=after)
    said = encoder.opening()
    for start in range(0, len(events), size):
        said += encoder.encode(events[start : start + size])
    return said.decode()


@given(TURNS, SHOWN, st.booleans(), st.integers(1, 5))
def test_events_are_in_order_and_the_same_however_they_are_read(
    events: list[TurnEvent], shown: frozenset[str], background: bool, size: int
) -> None:
    form = form_of(shown, background)
    body = told(form, events)
    numbered: list[Event] = events_in(body)
    assert_in_order(numbered)
    assert told(form, events, size=size) == body
    after = len(numbered) // 2
    assert events_in(told(form, events, after)) == numbered[after + 1 :]
    assert told(form, events, len(numbered)) == "data: [DONE]\n\n"
    silent = ResponseEncoder(form, lambda: 7.0, after=NO_EVENTS)
    assert json.loads(whole_response(events, silent)) == numbered[-1]["response"]
    ids = [item["id"] for item in numbered[-1]["response"]["output"] if item["type"] != "mcp_approval_request"]
    assert len(set(ids)) == len(ids)


@given(TURNS, SHOWN)
def test_no_function_is_told_without_its_output_wherever_the_stream_breaks(
    events: list[TurnEvent], shown: frozenset[str]
) -> None:
    form = form_of((shown - {Shows.MCP_CALLS.value}) | {Shows.FUNCTION_CALLS.value}, background=False)
    encoder = ResponseEncoder(form, lambda: 7.0)
    seen: list[dict[str, Any]] = []
    for event in events:
        blocks = encoder.encode([event]).decode().split("\n\n")
        done = [block for block in blocks if '"type":"response.output_item.done"' in block]
        seen += [json.loads(block.partition("data: ")[2])["item"] for block in done]
        calls = [item["call_id"] for item in seen if item["type"] == "function_call"]
        assert calls == [item["call_id"] for item in seen if item["type"] == "function_call_output"]


@given(TURNS, SHOWN)
def test_no_line_is_broken_by_what_is_said(events: list[TurnEvent], shown: frozenset[str]) -> None:
    for line in told(form_of(shown, background=False), events).split("\n"):
        assert line.splitlines() in ([], [line])


def test_before_the_first_event_a_response_is_queued_or_in_progress() -> None:
    record = form_of(frozenset(), background=True).record
    for status in ("queued", "in_progress"):
        form = ResponseForm(msgspec.structs.replace(record, status=type(record.status)(status)))
        assert json.loads(ResponseEncoder(form, lambda: 0.0, after=NO_EVENTS).response())["status"] == status
