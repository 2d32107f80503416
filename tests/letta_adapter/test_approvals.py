"""An agent that waits for approval is never left stuck, whatever Letta lists; or the error says what waits."""

from typing import Any

import httpx
import pytest

from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery
from domain.services.pending_approvals import MOST_TRIES
from tests.letta_adapter.scripted import DONE, PING, ScriptedLetta, approval_request, error, stop, text, tool_return

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("in_a_hurry")]

PENDING = PING + stop("error") + error(message="CONFLICT: The agent is waiting for approval on a tool call.") + DONE
NOTHING = "Cannot process approval response: No tool call is currently awaiting approval."
NOTHING_WAITS = PING + stop("error") + error(detail=NOTHING)
ANSWER = PING + text("All right.") + stop("end_turn") + DONE


def refused(*expected: str) -> bytes:
    detail = f"Invalid tool call IDs. Expected '{list(expected)}', but received '['call-1']'."
    unknown = "An unknown error occurred with the LLM streaming request."
    return PING + stop("error") + error(message=unknown, detail=detail) + DONE


def verdicts(messages: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    return [
        (each["tool_call_id"], each["approve"])
        for message in messages
        if message.get("type") == "approval"
        for each in message["approvals"]
    ]


def texts(messages: list[dict[str, Any]]) -> list[str]:
    return [message["content"] for message in messages if "content" in message]


@pytest.mark.parametrize("says", ["go on", "/deny", "/approve"])
@pytest.mark.parametrize("expected", [["call-2"], ["call-1", "call-2"], ["it's 1", "call-2"]])
@pytest.mark.parametrize("listed", [[approval_request("call-1")], [], [tool_return("call-1")]])
async def test_the_calls_that_letta_expects_are_denied(says: str, expected: list[str], listed: list[Any]) -> None:
    letta = ScriptedLetta(PENDING, refused(*expected), ANSWER)
    letta.history = listed
    letta.stored = ()
    assert await letta.ask(says).text() == "All right."
    assert verdicts(letta.sent[-1]) == [(call_id, False) for call_id in expected]
    assert texts(letta.sent[-1]) == ([] if says.startswith("/") else [says])


async def test_a_list_that_is_right_is_answered_as_the_user_wants_it() -> None:
    letta = ScriptedLetta(PENDING, ANSWER)
    # Letta lists the default history oldest first; a summary may be newer than the request.
    summary = {"message_type": "user_message", "content": "a summary", "date": "2026-11-26T02:00:00+00:00"}
    letta.history = [tool_return("call-0"), approval_request("call-0"), approval_request("call-1", "call-2"), summary]
    assert await letta.ask("/approve").text() == "All right."
    assert verdicts(letta.sent[-1]) == [("call-1", True), ("call-2", True)]
    assert texts(letta.sent[-1]) == []


async def test_the_message_that_asks_for_approval_is_named_by_a_refusal_with_a_status() -> None:
    detail = {"code": "PENDING_APPROVAL", "message": "CONFLICT", "pending_request_id": "message-9"}
    letta = ScriptedLetta(httpx.Response(409, json={"detail": detail}), ANSWER)
    assert await letta.ask("go on").text() == "All right."
    assert verdicts(letta.sent[-1]) == [("message-9", False)]
    assert texts(letta.sent[-1]) == ["go on"]


async def test_what_somebody_else_has_answered_in_the_meantime_is_not_answered() -> None:
    letta = ScriptedLetta(PENDING, NOTHING_WAITS, ANSWER)
    letta.history = [approval_request("call-1")]
    assert await letta.ask("go on").text() == "All right."
    assert (verdicts(letta.sent[-1]), texts(letta.sent[-1])) == ([], ["go on"])


async def test_no_two_tries_have_the_same_otids() -> None:
    """Letta would answer a job's second one with the refusal of its first."""
    letta = ScriptedLetta(PENDING, NOTHING_WAITS, PENDING, refused("call-2"), ANSWER)
    letta.history = [approval_request("call-1")]
    assert await letta.ask("go on").text() == "All right."
    sent = [tuple(message["otid"] for message in messages) for messages in letta.sent]
    assert len(set(sent)) == 5
    assert len({otid.partition("-message")[0] for otids in sent for otid in otids if "-message" in otid}) == 1


@pytest.mark.parametrize("says", ["go on", "/deny", "/approve"])
@pytest.mark.parametrize(
    "answers",
    [
        [PENDING],
        [PENDING, refused("call-1")],
        [PENDING, refused("call-2"), refused("call-2")],
        [PENDING, NOTHING_WAITS] * 9,
        [refused("call-1")],
    ],
    ids=range(5),
)
async def test_if_nothing_helps_the_error_says_what_waits_and_where(says: str, answers: list[bytes]) -> None:
    letta = ScriptedLetta(*answers)
    letta.history = [approval_request("call-1")]
    letta.stored = ()
    failure = await letta.ask(says).failure()
    assert (failure.code, failure.delivery) == (FailureCode.APPROVAL_PENDING, Delivery.NO)
    assert "call-" in failure.sentence
    assert "in Letta" in failure.sentence
    assert "delete_todo (call-1)" in failure.sentence or "call-2" in failure.sentence
    assert len(letta.sent) <= MOST_TRIES


@pytest.mark.parametrize("says", ["go on", "/deny"])
async def test_calls_that_cannot_be_listed_are_denied_all_the_same(says: str) -> None:
    letta = ScriptedLetta(PENDING, refused("call-2"), ANSWER)
    letta.away = True
    assert await letta.ask(says).text() == "All right."
    assert verdicts(letta.sent[-1]) == [("call-2", False)]


async def test_calls_that_cannot_be_listed_are_not_approved_and_that_can_be_tried_again() -> None:
    letta = ScriptedLetta(PENDING)
    letta.away = True
    failure = await letta.ask("/approve").failure()
    assert (failure.code, failure.delivery) == (FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)
    assert len(letta.sent) == 1


WAITING = "CONFLICT: Cannot send a new message: The agent is waiting for approval on a tool call."


@pytest.mark.parametrize("status", [400, 409, 422, 500])
@pytest.mark.parametrize(
    "ids", ["'['call-2', 'call-3']'", '["call-2", "call-3"]', "{'call-2', 'call-3'}", "[call-2,call-3]"]
)
async def test_a_refusal_is_one_with_whatever_status_and_however_the_calls_are_written(status: int, ids: str) -> None:
    detail = f"Invalid tool call IDs. Expected {ids}, but received ['call-1']."
    letta = ScriptedLetta(
        httpx.Response(status, json={"detail": WAITING}),
        httpx.Response(status, json={"error": {"type": "internal_error", "message": detail}}),
        ANSWER,
    )
    letta.history = [approval_request("call-1")]
    assert await letta.ask("go on").text() == "All right."
    assert verdicts(letta.sent[-1]) == [("call-2", False), ("call-3", False)]
