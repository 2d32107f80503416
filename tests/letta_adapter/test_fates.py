"""What is said of a message's fate was seen: never is it inferred from how a stream ended."""

import asyncio

import httpx
import pytest

from domain.model.answer_text import whole_text
from domain.model.events import Ended
from domain.model.failures import Delivery, FailureCode
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

USAGE = event("usage_statistics", prompt_tokens=3, completion_tokens=2)
TOOL_RETURN = event("tool_return_message", tool_returns=[{"tool_call_id": "call-1", "tool_return": "done"}])
FAILED_LLM = stop("llm_api_error") + error("llm_error") + DONE
SUMMARY = {"message_type": "user_message", "otid": None, "content": '{"type": "system_alert", "message": "a summary"}'}


@pytest.mark.parametrize(
    "end",
    [
        stop("end_turn") + error("cleanup_error"),
        stop("end_turn") + USAGE + error("cleanup_error") + DONE,
        stop("end_turn") + stop("error") + error(),
        stop("max_steps") + stop("llm_api_error") + error("llm_error") + DONE,
        stop("tool_rule") + error("llm_rate_limit"),
    ],
)
async def test_an_error_after_the_answer_changes_nothing(end: bytes, caplog: pytest.LogCaptureFixture) -> None:
    letta = ScriptedLetta(PING + text("It is ") + text("done.") + end)
    assert await letta.ask().text() == "It is done."
    assert letta.looks == []
    assert "error after the end of an answer" in caplog.text


async def test_a_stream_whose_end_contradicts_itself_is_looked_up() -> None:
    letta = ScriptedLetta(PING + text("It is ") + stop("error") + stop("end_turn") + DONE)
    letta.keeps(assistant_message("It is done."))
    assert await letta.ask().text() == "It is done."


@pytest.mark.parametrize("said", [b"", text("It "), text("It is done.")])
@pytest.mark.parametrize("end", [FAILED_LLM, stop("error"), error("stream_incomplete"), stop("insufficient_credits")])
async def test_an_error_in_mid_answer_of_a_run_that_came_to_its_end(said: bytes, end: bytes) -> None:
    letta = ScriptedLetta(PING + said + end)
    letta.keeps(assistant_message("It is done."))
    assert await letta.ask().text() == "It is done."
    assert len(letta.sent) == 1


@pytest.mark.parametrize("reason", ["llm_api_error", "error", "context_window_overflow_in_system_prompt", None])
async def test_an_error_after_a_stored_step_was_delivered(reason: str) -> None:
    letta = ScriptedLetta(PING + text("It is") + stop(reason or "error") + error())
    letta.statuses = [("failed", reason)]
    letta.keeps(assistant_message("It is"))
    asked = letta.ask()
    assert (await asked.failure()).delivery is Delivery.YES
    assert whole_text(asked.events) == "It is"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("llm_error", FailureCode.LLM_ERROR),
        ("llm_rate_limit", FailureCode.LLM_RATE_LIMIT),
        ("llm_authentication", FailureCode.LLM_AUTHENTICATION),
        ("internal_error", FailureCode.LLM_ERROR),
    ],
)
async def test_nothing_was_delivered_if_nothing_is_stored(kind: str, code: FailureCode) -> None:
    letta = ScriptedLetta(PING + text("It") + stop("llm_api_error") + error(kind))
    letta.statuses = [("failed", "llm_api_error")]
    failure = await letta.ask().failure()
    assert (failure.code, failure.delivery) == (code, Delivery.NO)


async def test_a_rate_limit_after_a_stored_step_is_not_to_be_waited_for() -> None:
    letta = ScriptedLetta(PING + stop("llm_api_error") + error("llm_rate_limit"))
    letta.statuses = [("failed", "llm_api_error")]
    letta.keeps(tool_return("call-1"))
    failure = await letta.ask().failure()
    assert (failure.code, failure.delivery, failure.retry_after) == (FailureCode.LLM_ERROR, Delivery.YES, None)


async def test_a_summary_that_letta_has_stored_is_not_the_message() -> None:
    letta = ScriptedLetta(PING + stop("error") + error())
    letta.statuses = [("failed", "error")]
    letta.stored = [SUMMARY]
    assert (await letta.ask().failure()).delivery is Delivery.NO


async def test_a_record_that_lags_behind_is_waited_for() -> None:
    letta = ScriptedLetta(PING + FAILED_LLM)
    letta.statuses = [("running", None)] * 4 + [("failed", "llm_api_error")]
    assert (await letta.ask().failure()).delivery is Delivery.NO


@pytest.mark.parametrize("stored", [True, False])
async def test_a_run_that_never_says_how_it_ended(stored: bool) -> None:
    letta = ScriptedLetta(PING + FAILED_LLM)
    letta.statuses = [("running", None)]
    if stored:
        letta.keeps(tool_return("call-1"))
    failure = await letta.ask().failure()
    assert (failure.code, failure.delivery) == (FailureCode.LLM_ERROR, Delivery.YES if stored else Delivery.UNKNOWN)


@pytest.mark.parametrize("knows_runs", [True, False])
async def test_a_record_that_cannot_be_had_leaves_it_open(knows_runs: bool) -> None:
    letta = ScriptedLetta(PING + FAILED_LLM)
    letta.away, letta.knows_runs = knows_runs, knows_runs
    failure = await letta.ask().failure()
    assert (failure.code, failure.delivery) == (FailureCode.LLM_ERROR, Delivery.UNKNOWN)
    assert "may or may not" in failure.sentence
    assert len(letta.sent) == 1


async def test_a_tool_s_result_tells_of_the_message_if_nothing_else_does() -> None:
    letta = ScriptedLetta(PING + TOOL_RETURN + FAILED_LLM)
    letta.away = True
    assert (await letta.ask().failure()).delivery is Delivery.YES


@pytest.mark.parametrize("first", [b"", event("ping")])
@pytest.mark.parametrize("stored", [True, False])
async def test_an_error_before_the_run_is_known(first: bytes, stored: bool) -> None:
    letta = ScriptedLetta(first + FAILED_LLM)
    letta.statuses = [("failed", "llm_api_error")]
    if stored:
        letta.keeps(assistant_message("so far"))
    failure = await letta.ask().failure()
    assert (failure.code, failure.delivery) == (FailureCode.LLM_ERROR, Delivery.YES if stored else Delivery.NO)


async def test_a_run_that_nobody_has_named_and_that_goes_on_is_waited_for() -> None:
    letta = ScriptedLetta(error("stream_incomplete"))
    letta.active = [{"conversation_id": None}]

    def ends() -> None:
        letta.active = []
        letta.keeps(assistant_message("All of it."))

    asked = letta.ask()
    asyncio.get_running_loop().call_later(0.05, ends)
    assert await asked.text() == "All of it."


@pytest.mark.parametrize(
    ("status", "body", "stored", "delivery"),
    [
        (500, {"detail": "INTERNAL_SERVER_ERROR"}, True, None),
        (500, {"detail": "INTERNAL_SERVER_ERROR"}, False, Delivery.UNKNOWN),
        (408, {}, False, Delivery.UNKNOWN),
        (500, {"error": {"type": "llm_error"}}, True, None),
        (429, {"error": {"type": "llm_rate_limit"}}, False, Delivery.NO),
        (400, {"detail": "no"}, False, Delivery.NO),
    ],
)
async def test_a_status_that_says_something_else_than_what_is_stored(
    status: int, body: object, stored: bool, delivery: Delivery | None
) -> None:
    letta = ScriptedLetta(httpx.Response(status, json=body))
    if stored:
        letta.keeps(assistant_message("It is done."))
    asked = letta.ask()
    if delivery is None:
        assert await asked.text() == "It is done."
    else:
        assert (await asked.failure()).delivery is delivery
    assert len(letta.sent) == 1


PENDING = PING + stop("error") + error(message="CONFLICT: The agent is waiting for approval on a tool call.") + DONE
DENIED = [{"message_type": "approval_response_message", "otid": None}, tool_return("call-1", "denied")]


async def test_a_denial_was_kept_and_the_message_was_not() -> None:
    letta = ScriptedLetta(PENDING, PING + TOOL_RETURN + FAILED_LLM)
    letta.history = [approval_request("call-1")]
    asked = letta.ask()
    await asyncio.sleep(0)
    letta.statuses = [("failed", "llm_api_error")]
    letta.stored = DENIED
    failure = await asked.failure()
    assert (failure.code, failure.delivery) == (FailureCode.LLM_ERROR, Delivery.NO)
    assert [message.get("type") for message in letta.sent[1]] == ["approval", None]


async def test_the_message_was_kept_and_the_denial_was_not() -> None:
    letta = ScriptedLetta(PENDING, PING + FAILED_LLM)
    letta.history = [approval_request("call-1")]
    letta.statuses = [("failed", "llm_api_error")]
    letta.stored = [{"message_type": "user_message", "otid": "$said", "content": "q"}]
    assert (await letta.ask().failure()).delivery is Delivery.YES


async def test_a_message_that_was_refused_and_is_stored_all_the_same_is_not_sent_again() -> None:
    letta = ScriptedLetta(PENDING)
    letta.keeps(assistant_message("It is done."))
    assert await letta.ask().text() == "It is done."
    assert len(letta.sent) == 1


async def test_a_good_end_with_nothing_stored_is_none() -> None:
    letta = ScriptedLetta(PING + FAILED_LLM)
    assert (await letta.ask().failure()).delivery is Delivery.NO


@pytest.mark.parametrize("recorded", [True, False])
async def test_an_answer_that_was_cut_off_says_so(recorded: bool) -> None:
    letta = ScriptedLetta(PING + text("cut o") + (b"" if recorded else stop("max_tokens_exceeded") + DONE))
    letta.statuses = [("failed", "max_tokens_exceeded")]
    letta.keeps(assistant_message("cut o"))
    *_, end = await letta.ask().answer()
    assert end == Ended(cut_off=True)
    assert bool(letta.looks) == recorded


async def test_a_record_without_usage_is_a_record() -> None:
    letta = ScriptedLetta(PING + text("It is"))
    letta.keeps(assistant_message("It is done."))
    assert await letta.ask().text() == "It is done."
    assert f"/v1/runs/{RUN}/usage" in letta.looks
