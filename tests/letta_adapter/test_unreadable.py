"""What cannot be read of Letta's answers costs no more than itself; the run's record says what is missing."""

import contextlib
import json
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.letta.lenient_json import decoded, elements
from domain.model.answer_text import whole_text
from domain.model.events import ApprovalRequest, Ended, Failed, Text, ToolCall, ToolResult, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery
from entrypoints.http.openai.chunks import ChunkEncoder
from entrypoints.http.openai.completion import AnswerForm
from tests.examples import examples
from tests.letta_adapter.scripted import (
    DONE,
    PING,
    RUN,
    ScriptedLetta,
    approval_request,
    assistant_message,
    error,
    event,
    stop,
    text,
    tool_return,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("in_a_hurry")]

END = stop("end_turn") + event("usage_statistics", prompt_tokens=3, completion_tokens=2) + DONE
DEEP = b"[" * 100_000 + b"]" * 100_000


def data(content: bytes) -> bytes:
    return b"data: " + content + b"\n\n"


UNREADABLE_EVENTS = [
    text(None),
    text(5),
    text([{"type": "text", "text": None}]),
    event("assistant_message"),
    data(b'{"message_type":"assistant_message","content":"half a pair: \\ud83d"}'),
    data(b'{"message_type":"assistant_message","content":"half a pair: \\ude00!"}'),
    data(b'{"message_type":"assistant_message","content":"not UTF-8: \xff"}'),
    data(b'{"message_type":"assistant_message","content":"a surrogate in UTF-8: \xed\xa0\xbd"}'),
    data(b'{"message_type":"assistant_message","content":"a","x":' + DEEP + b"}"),
    data(b'{"message_type":"assistant_message","content":' + DEEP + b"}"),
    data(DEEP),
    data(b'{"content":"no type"}'),
    data(b'{"message_type":null,"content":"x"}'),
    data(b'{"message_type":["ping"]}'),
    data(b"[]"),
    data(b"5"),
    data(b"null"),
    data(b'"text"'),
    data(b"{"),
    data(b"{}"),
    data(b"<html>"),
    b'{"message_type":"assistant_message","content":"is "}\n',
    event("tool_return_message", tool_returns=None),
    event("tool_return_message", tool_returns=[None]),
    event("tool_call_message", tool_call=None),
    event("tool_call_message", tool_call={"name": 5}),
    event("stop_reason", stop_reason=None),
    event("approval_request_message", tool_call=[]),
]
NO_EVENTS = [data(b"ping"), data(b"PONG"), data(b""), b": a comment\n\n", b"event: ping\n\n", b"id: 5\nretry: 1\n\n"]


@pytest.mark.parametrize("odd", UNREADABLE_EVENTS + NO_EVENTS, ids=range(len(UNREADABLE_EVENTS + NO_EVENTS)))
@pytest.mark.parametrize(("at", "lost"), [(0, False), (2, True), (3, False)], ids=["first", "instead", "between"])
async def test_an_event_that_cannot_be_read_does_not_cost_the_answer(odd: bytes, lost: bool, at: int) -> None:
    """Whether it stands in the place of a part of the answer, or between two of them."""
    events = [PING, text("It "), text("is "), text("done."), END]
    letta = ScriptedLetta(b"".join([*events[:at], odd, *events[at + (lost and odd in UNREADABLE_EVENTS) :]]))
    letta.keeps(assistant_message("It is done."))
    assert await letta.ask().text() == "It is done."
    assert len(letta.sent) == 1


@pytest.mark.parametrize("odd", [data(b"ping"), data(b""), event("ping", run_id={}), event("usage_statistics", x=1)])
async def test_what_is_no_part_of_the_answer_is_not_missed(odd: bytes) -> None:
    letta = ScriptedLetta(PING + text("It is ") + odd + text("done.") + END)
    letta.knows_runs = False
    assert await letta.ask().text() == "It is done."


async def test_a_part_that_nobody_has_is_an_honest_failure() -> None:
    letta = ScriptedLetta(PING + text("It ") + text(None) + text("done.") + END)
    letta.away = True
    asked = letta.ask()
    failure = await asked.failure()
    assert (failure.code, failure.delivery) == (FailureCode.ANSWER_INCOMPLETE, Delivery.UNKNOWN)
    assert whole_text(asked.events) == "It "
    letta.away = False
    letta.keeps(assistant_message(None))
    failure = await letta.ask().failure()
    assert (failure.code, failure.delivery) == (FailureCode.ANSWER_INCOMPLETE, Delivery.YES)


async def test_what_is_skipped_is_counted_in_one_line_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    secret = data(b'{"message_type":"assistant_message","content":["secret"]}')
    letta = ScriptedLetta(PING + secret + secret + data(b"") + event("of_the_future", content="secret") + END)
    letta.keeps(assistant_message("It is done."))
    await letta.ask().text()
    assert [record.getMessage() for record in caplog.records if "stream" in record.getMessage()] == [
        "3 events of Letta's stream could not be read, and were skipped",
        "1 events of Letta's stream are of unknown types, and were skipped",
    ]
    assert "secret" not in caplog.text


async def test_an_error_and_an_approval_are_found_behind_what_cannot_be_read() -> None:
    letta = ScriptedLetta(PING + text(None) + stop("llm_api_error") + error("llm_rate_limit"))
    letta.statuses = [("failed", "llm_api_error")]
    assert (await letta.ask().failure()).code is FailureCode.LLM_RATE_LIMIT
    letta = ScriptedLetta(PING + text(None) + event("approval_request_message") + stop("requires_approval") + DONE)
    letta.statuses = [("completed", "requires_approval")]
    letta.keeps(approval_request("call-1"), {"message_type": "user_message", "otid": None, "content": "a summary"})
    *_, request, _usage, end = [*await letta.ask().answer()][-3:]
    assert end == Ended()
    assert request == ApprovalRequest("call-1", "delete_todo", '{"number": 2}') or isinstance(_usage, ApprovalRequest)


@pytest.mark.parametrize(
    "stored",
    [
        b'[5, null, [], "x", {}, {"message_type": 5}, $said, $answer]',
        b'[$said, {"message_type": "of_the_future", "x": ' + DEEP + b"}, $answer]",
        b"[$said, " + DEEP + b", $answer, " + DEEP + b"]",
        b'[$said, {"message_type": "reasoning_message", "reasoning": null}, $answer]',
        b'[{"message_type": "tool_call_message", "tool_calls": null, "x": "\\ud83d"}, $said, $answer]',
        b'[$said, {"message_type": "tool_return_message", "tool_returns": "\xff"}, $answer]',
        b'\xef\xbb\xbf [ $said , {"a": "],[\\"}"} , $answer ] ',
        b'[$said, {"message_type": "assistant_message", "content": null}, $answer]',
    ],
    ids=range(8),
)
async def test_odd_parts_of_a_record_are_passed_over(stored: bytes) -> None:
    letta = ScriptedLetta(PING + text("It "))
    said = json.dumps({"message_type": "user_message", "content": "q"}).encode()
    answer = json.dumps(assistant_message("It is done.")).encode()
    letta.raw[f"/v1/runs/{RUN}/messages"] = stored.replace(b"$said", said).replace(b"$answer", answer)
    letta.raw[f"/v1/runs/{RUN}/usage"] = b'{"prompt_tokens": "many"}'
    assert await letta.ask().text() == "It is done."


@pytest.mark.parametrize("nothing", [b"", b"{}", b"null", b"<html>", b"[", b'{"status": 5}', DEEP, b"[{}", b"\xff"])
@pytest.mark.parametrize("where", ["", "/messages"])
async def test_a_record_that_cannot_be_read_leaves_it_open(nothing: bytes, where: str) -> None:
    letta = ScriptedLetta(PING + stop("error") + error())
    letta.raw[f"/v1/runs/{RUN}{where}"] = nothing
    assert (await letta.ask().failure()).delivery is Delivery.UNKNOWN or (where and nothing == DEEP)


async def test_half_a_pair_of_surrogates_is_replaced_and_breaks_no_encoder() -> None:
    letta = ScriptedLetta(PING)
    half = "half a pair: \ud83d, a whole one: \ud83d\ude00"
    call = {"message_type": "tool_call_message", "tool_calls": [{"tool_call_id": "c", "name": half, "arguments": half}]}
    letta.stored = [assistant_message(half), call, tool_return("c", half)]
    events = await letta.ask().answer()
    replaced = "half a pair: \ufffd, a whole one: \U0001f600"
    assert [event for event in events if isinstance(event, Text | ToolCall | ToolResult)] == [
        Text(replaced),
        ToolCall("c", replaced, replaced),
        ToolResult("c", replaced),
    ]
    assert ChunkEncoder(AnswerForm("id", 0, "model")).encode(events)


STEPS: list[tuple[list[bytes], list[dict[str, object]]]] = [
    ([text("Let me "), text("look.")], [assistant_message("Let me look.")]),
    (
        [
            event("tool_call_message", tool_call={"name": "search", "tool_call_id": "c"}),
            event("tool_call_message", tool_call={"arguments": '{"q": ', "tool_call_id": "c"}),
            event("tool_call_message", tool_call={"arguments": "1}", "tool_call_id": "c"}),
            event("tool_return_message", tool_returns=[{"tool_call_id": "c", "tool_return": "found"}]),
        ],
        [
            {
                "message_type": "tool_call_message",
                "tool_calls": [{"name": "search", "tool_call_id": "c", "arguments": '{"q": 1}'}],
            },
            tool_return("c", "found"),
        ],
    ),
    ([text("Here "), text("it "), text("is.")], [assistant_message("Here it is.")]),
]
STREAM = [PING, *(piece for pieces, _ in STEPS for piece in pieces), stop("end_turn"), DONE]


@settings(deadline=None, max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    corrupted=st.dictionaries(st.integers(0, len(STREAM) - 1), st.sampled_from(UNREADABLE_EVENTS), max_size=4),
    slipped_in=st.lists(st.tuples(st.integers(0, len(STREAM)), st.sampled_from(UNREADABLE_EVENTS + NO_EVENTS))),
    cut_at=st.integers(1, len(STREAM)) | st.none(),
    away=st.booleans(),
)
async def test_whatever_is_corrupted_the_answer_is_whole_and_said_once_or_the_failure_is_honest(
    corrupted: dict[int, bytes], slipped_in: list[tuple[int, bytes]], cut_at: int | None, away: bool
) -> None:
    stream = [corrupted.get(at, each) for at, each in enumerate(STREAM)][:cut_at]
    for at, each in slipped_in:
        stream.insert(at, each)
    letta = ScriptedLetta(b"".join(stream))
    letta.away = away
    letta.keeps(*(message for _, messages in STEPS for message in messages))
    events = await letta.ask().answer()
    assert_said_once(events, whole=not away)
    assert len(letta.sent) == 1


def assert_said_once(events: Sequence[TurnEvent], whole: bool) -> None:
    all_of_it = "Let me look.\n\nHere it is."
    if isinstance(events[-1], Failed):
        assert not whole
        assert events[-1].failure.delivery is not Delivery.NO
        assert all_of_it.startswith(whole_text(events).strip())
        return
    assert whole_text(events) == all_of_it
    assert "".join(event.arguments for event in events if isinstance(event, ToolCall)) == '{"q": 1}'
    assert [event for event in events if isinstance(event, ToolResult)] == [ToolResult("c", "found")]


@settings(deadline=None, max_examples=examples(30))
@given(st.lists(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner))), st.booleans())
def test_a_list_is_cut_where_its_elements_end(values: list[object], is_deep: bool) -> None:
    listed = [json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") for value in values]
    written = b" , ".join([*listed, *([DEEP[45_000:-45_000]] * is_deep)])
    found = elements(b" [" + written + b"] ")
    assert [json.loads(bytes(each)) for each in found[: len(values)]] == [json.loads(each) for each in listed]
    assert len(found) == len(values) + is_deep


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(content: bytes) -> None:
    decoded(msgspec.json.Decoder(dict), content)
    with contextlib.suppress(msgspec.DecodeError):
        elements(content)
