"""From the App Server's frames to turn events: recorded turns, as two sockets bring them, in any interleaving."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.letta_code.conversation import Conversation
from adapters.letta_code.failures import failure_of_turn, refused
from adapters.letta_code.frames import Runtime, StoredMessage, decoder, is_skipped, repeated_by
from adapters.letta_code.history import answer_to, record_of
from adapters.letta_code.turn_stream import TurnStream
from domain.model.events import Ended, Failed, Reasoning, Text, ToolCall, ToolResult, TurnEvent, Usage
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery

RECORDINGS = Path(__file__).parent / "recordings"
PLAIN = [Text("You "), Text("said: "), Text("hello "), Text("there"), Usage(102, 4), Ended()]
TOOL = [
    *(Reasoning(word) for word in ("I ", "have ", "to ", "run ", "it")),
    Text("Let me look. "),
    ToolCall("call_2_0", "Bash"),
    ToolCall("call_2_0", arguments='{"command":"echo tool-output","description":"say"}'),
    ToolResult("call_2_0", "tool-output\n"),
    *(Text(word) for word in ("Tool ", "said: ", "tool-output\n")),
    Usage(210, 18),
    Ended(),
]


def recorded(name: str) -> list[bytes]:
    return [line.encode() for line in (RECORDINGS / f"{name}.jsonl").read_text().splitlines()]


def on_other_socket(frame: bytes) -> bytes:
    """The same, as the second socket has it: numbered by itself."""
    value = json.loads(frame)
    value["event_seq"] += 7
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def events_of(frames: Sequence[bytes], message_id: str) -> tuple[list[TurnEvent], TurnStream]:
    """As `Connections` and `Conversation` take them."""
    conversation = Conversation(Runtime("agent", "default"))
    stream = TurnStream(message_id)
    conversation.begin(stream)
    seen: set[bytes] = set()
    for frame in frames:
        if is_skipped(frame) or (key := repeated_by(frame)) in seen:
            continue
        if key is not None:
            seen.add(key)
        conversation.take(decoder.decode(frame))
    return stream.events, stream


@pytest.mark.parametrize(("name", "message_id", "events"), [("plain", "cm-d1-1", PLAIN), ("tool", "cm-d1-2", TOOL)])
def test_a_recorded_turn(name: str, message_id: str, events: list[TurnEvent]) -> None:
    found, stream = events_of(recorded(name), message_id)
    assert found == events
    assert (stream.over, stream.failure) == (True, None)


@given(
    turn=st.sampled_from([("plain", "cm-d1-1", PLAIN), ("tool", "cm-d1-2", TOOL)]),
    losses=st.tuples(st.integers(0, 29), st.integers(0, 29)),
    order=st.lists(st.integers(0, 1), max_size=58),
)
def test_two_sockets_bring_it_once_and_in_order_however_they_are_interleaved(
    turn: tuple[str, str, list[TurnEvent]], losses: tuple[int, int], order: list[int]
) -> None:
    name, message_id, events = turn
    first = recorded(name)
    second = [on_other_socket(frame) for frame in first]
    # One of them may be lost on the way, and the other one may begin late, as long as one brings each frame.
    lost = min(losses[0], len(first))
    begins = min(losses[1], lost)
    # Whoever subscribes is told how the loop is.
    told = [frame for frame in second[:begins] if b'"type":"update_loop_status"' in frame][-1:]
    queues = [first[:lost], [*told, *second[begins:]]]
    numbers = [*order, *[0] * len(first), *[1] * len(first)]
    frames = [queues[number].pop(0) for number in numbers if queues[number]]
    found, stream = events_of(frames, message_id)
    assert stream.over
    said, results = apart(found)
    wanted, wanted_results = apart(events)
    if stream.failure is None:
        assert said == wanted
        # Only what a slow socket alone has brought of a tool comes late.
        assert results == wanted_results
        assert begins > 0 or found == events
    else:
        # What no socket has brought is never passed over in silence.
        assert begins > 0
        assert stream.failure.code is FailureCode.ANSWER_INCOMPLETE
        assert said == wanted[: len(said)]


def apart(events: list[TurnEvent]) -> tuple[list[TurnEvent], list[TurnEvent]]:
    results = [event for event in events if isinstance(event, ToolResult)]
    return [event for event in events if not isinstance(event, ToolResult)], list(results)


def test_frames_of_another_message_are_none_of_ours() -> None:
    found, stream = events_of(recorded("plain"), "cm-other")
    assert (found, stream.over) == ([], False)


def test_a_missing_piece_is_never_passed_over() -> None:
    frames = recorded("plain")
    del frames[2]
    found, stream = events_of(frames, "cm-d1-1")
    assert found == [Text("You ")]
    assert stream.failure is not None
    assert (stream.failure.code, stream.failure.delivery) == (FailureCode.ANSWER_INCOMPLETE, Delivery.YES)


def test_a_model_that_fails_is_stopped_at_the_outer_retry_and_not_at_the_inner_ones() -> None:
    conversation = Conversation(Runtime("agent", "default"))
    stream = TurnStream("cm-500-always")
    conversation.begin(stream)
    frames = [decoder.decode(frame) for frame in recorded("model_fails")]
    stops = [frame.delta.message_type if frame.delta else frame.type for frame in frames if conversation.take(frame)]
    assert stops == ["retry"]
    assert stream.events == []
    assert stream.failure is not None
    assert (stream.failure.code, stream.failure.delivery) == (FailureCode.LLM_ERROR, Delivery.YES)
    assert "stub failure" not in stream.failure.sentence + stream.failure.cause


@pytest.mark.parametrize(
    ("error", "is_begun", "code", "delivery"),
    [
        ('{"error": {"message": "401: {}"}}', True, FailureCode.LLM_AUTHENTICATION, Delivery.YES),
        ("403: forbidden", True, FailureCode.LLM_AUTHENTICATION, Delivery.YES),
        ("429: slow down", True, FailureCode.LLM_ERROR, Delivery.YES),
        ('{"type": "llm_error", "message": "content_filter"}', True, FailureCode.LLM_ERROR, Delivery.YES),
        ("Agent agent-1 not found", False, FailureCode.MODEL_NOT_FOUND, Delivery.NO),
        ("Conversation local-conv-1 not found", False, FailureCode.CONVERSATION_GONE, Delivery.NO),
        ("Conversation x already has an active run (local-run-6)", False, FailureCode.CONVERSATION_STUCK, Delivery.NO),
        ("Failed to prepare image for model: Input", True, FailureCode.UNSUPPORTED_CONTENT, Delivery.YES),
        ("Cannot read properties of null", False, FailureCode.AGENT_ERROR, Delivery.UNKNOWN),
        ("the answer mentions Agent X not found", True, FailureCode.AGENT_ERROR, Delivery.YES),
    ],
)  # fmt: skip
def test_what_the_errors_of_turns_mean(error: str, is_begun: bool, code: FailureCode, delivery: Delivery) -> None:
    failure = failure_of_turn(error, is_begun)
    assert (failure.code, failure.delivery) == (code, delivery)


def test_an_input_that_is_not_accepted_was_not_delivered() -> None:
    for error in (None, "Input was rejected by the queue", "Stable input ledger is at capacity"):
        assert refused(error).delivery is Delivery.NO


def message(kind: str, otid: str | None = None, content: Any = None) -> StoredMessage:
    return StoredMessage(message_type=kind, otid=otid, content=content)


def test_an_answer_is_what_follows_its_message_up_to_the_next_one() -> None:
    newest_first = [
        message("assistant_message", content="second"),
        message("user_message", "lettabot-2"),
        message("assistant_message", content="first"),
        message("user_message", "lettabot-1.1"),
    ]
    for name, text in (("lettabot-1", "first"), ("lettabot-2", "second")):
        found = answer_to(newest_first, name)
        assert found is not None
        assert [each.content for each in found] == [text]
    assert answer_to(newest_first, "lettabot-3") is None


def test_an_answer_whose_end_was_not_seen_is_never_taken_for_a_whole_one() -> None:
    record = record_of([message("assistant_message", content="maybe half")], None, is_running=False, is_known=False)
    assert record is not None
    assert (record.over, record.remembered) == (True, True)
    [failed] = record.events
    assert isinstance(failed, Failed)
    assert (failed.failure.code, failed.failure.delivery) == (FailureCode.CONNECTION_LOST, Delivery.YES)
    assert failed.failure.final
    assert record_of(None, None, is_running=False, is_known=False) is None
