"""What Letta says about runs, conversations and waiting tool calls, as recorded from 0.16.8; and what it is sent."""

import json
from typing import Any

import httpx
import pytest
import respx
from letta_client import AsyncLetta

from adapters.letta.gateway import LettaGateway
from adapters.letta.message_body import body_of
from adapters.letta.record import Run, RunUsage, run_record, waiting_calls
from domain.model.agent import Agent
from domain.model.events import ApprovalRequest, Ended, Failed, Text, ToolCall, ToolResult, Usage
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, FailureError
from domain.model.run_record import RunSearch
from domain.model.turn import Image, ImageLink, Turn, UserMessage, Verdict
from ports.abilities import CannotDeduplicateError
from ports.contract.samples import events_of
from tests.letta_adapter.replay import BUSY, ReplayLetta, recording

pytestmark = pytest.mark.anyio

AGENT = Agent("agent-00000000-0000-4000-8000-000000000000", "name 0", 0)
TURN = Turn(AGENT, UserMessage("x"))
CALL = {"name": "list_todos", "arguments": '{"list_name": "work"}', "tool_call_id": "call_stub_000002"}
WAITING = {"name": "delete_todo", "arguments": '{"number": 2}', "tool_call_id": "call_stub_000005"}
STORED: list[dict[str, Any]] = [
    {"id": "message-1", "message_type": "user_message", "content": "[[text+tool]]", "seq_id": None},
    {"id": "message-2", "message_type": "assistant_message", "content": "Let me look at your list ."},
    {"id": "message-2", "message_type": "tool_call_message", "tool_call": CALL, "tool_calls": [CALL]},
    {
        "id": "message-3",
        "message_type": "tool_return_message",
        "tool_return": "1. water the plants (work)",
        "status": "success",
        "tool_call_id": "call_stub_000002",
        "tool_returns": [
            {"type": "tool", "tool_return": "1. water", "status": "success", "tool_call_id": "call_stub_000002"}
        ],
    },
    {"id": "message-5", "message_type": "summary_message", "content": {"of": "a kind that is not known"}},
    {"id": "message-4", "message_type": "assistant_message", "content": [{"type": "text", "text": "All done ."}]},
]
APPROVAL = {
    "id": "message-9",
    "message_type": "approval_request_message",
    "tool_call": WAITING,
    "tool_calls": [WAITING],
}


def record(status: str, stop_reason: str | None, *messages: dict[str, Any]) -> Any:
    return run_record(TURN, Run(status, stop_reason), json.dumps(messages).encode(), RunUsage(354, 9))


def test_a_run_that_is_over() -> None:
    found = record("completed", "end_turn", *STORED)
    assert (found.over, found.remembered) == (True, True)
    assert list(found.events) == [
        Text("Let me look at your list ."),
        ToolCall("call_stub_000002", "list_todos", '{"list_name": "work"}'),
        ToolResult("call_stub_000002", "1. water"),
        Text("All done ."),
        Usage(354, 9),
        Ended(),
    ]


def test_a_run_that_goes_on() -> None:
    assert record("running", None) == record("created", None)
    found = record("running", None, *STORED[:4])
    assert (found.over, found.remembered, len(found.events)) == (False, True, 3)


@pytest.mark.parametrize(
    ("status", "stop_reason", "code"),
    [
        ("cancelled", "cancelled", FailureCode.CANCELLED),
        ("failed", "error", FailureCode.AGENT_ERROR),
        ("completed", "llm_api_error", FailureCode.LLM_ERROR),
        ("failed", None, FailureCode.AGENT_ERROR),
    ],
)
def test_a_run_that_failed(status: str, stop_reason: str | None, code: FailureCode) -> None:
    for messages in ([], STORED[:4]):
        found = record(status, stop_reason, *messages)
        assert (found.over, found.remembered) == (True, bool(messages))
        last = found.events[-1]
        assert isinstance(last, Failed)
        assert last.failure.code is code


def test_a_run_that_waits_for_approval() -> None:
    *_, request, _, end = record("completed", "requires_approval", STORED[0], APPROVAL).events
    assert request == ApprovalRequest("call_stub_000005", "delete_todo", '{"number": 2}')
    assert end == Ended()


def test_waiting_calls_are_the_newest_ones_that_nobody_has_answered_in_whatever_order_they_are_listed() -> None:
    older = {**APPROVAL, "date": "2026-11-26T01:06:15+00:00", "tool_calls": [{**WAITING, "tool_call_id": "older"}]}
    newest = {**APPROVAL, "date": "2026-11-26T01:07:15+00:00"}
    summary = {"message_type": "user_message", "content": "a summary", "date": "2026-11-26T01:08:00+00:00"}
    waiting = [ApprovalRequest("call_stub_000005", "delete_todo", '{"number": 2}')]
    for listed in ([newest, older], [older, newest], [summary, newest, older], [older, newest, summary, 5, None]):
        assert waiting_calls(json.dumps(listed).encode()) == waiting
    answer = {"message_type": "tool_return_message", "tool_returns": [{"tool_call_id": "call_stub_000005"}]}
    assert [call.call_id for call in waiting_calls(json.dumps([answer, newest, older]).encode())] == ["older"]
    assert waiting_calls(json.dumps([answer, newest]).encode()) == []
    assert waiting_calls(b"[]") == []


def test_what_letta_is_sent() -> None:
    images = (Image("image/png", "AAAA"), ImageLink("https://example.org/x.png"))
    turn = Turn(AGENT, UserMessage("look", images), verdict=Verdict(("c1", "c2"), False, "no"))
    approval, user = body_of(turn)["messages"]
    assert approval["type"] == "approval"
    assert approval["approvals"][1] == {"type": "approval", "tool_call_id": "c2", "approve": False, "reason": "no"}
    assert user["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/x.png"}},
    ]
    assert body_of(Turn(AGENT, None, verdict=Verdict(("c1",), True)))["messages"] == [
        {
            "type": "approval",
            "approvals": [{"type": "approval", "tool_call_id": "c1", "approve": True, "reason": None}],
        }
    ]
    assert body_of(Turn(AGENT, UserMessage("hi")))["messages"] == [{"role": "user", "content": "hi"}]


async def test_a_run_is_stopped_by_its_id(letta: ReplayLetta, gateway: LettaGateway) -> None:
    await gateway.cancel(Turn(AGENT, UserMessage("x")), "run-7")
    assert letta.cancelled == ["run-7"]


async def test_a_conversation_that_is_gone(letta: ReplayLetta, gateway: LettaGateway) -> None:
    conversation = await gateway.open_conversation(AGENT)
    await gateway.close_conversation(conversation)
    with pytest.raises(FailureError) as raised:
        [event async for event in gateway.run(Turn(AGENT, UserMessage("text"), conversation))]
    failure = raised.value.failure
    assert (failure.code, failure.delivery) == (FailureCode.CONVERSATION_GONE, Delivery.NO)
    assert letta.deliveries == []


async def test_a_server_without_conversations_says_what_to_do(letta: ReplayLetta, gateway: LettaGateway) -> None:
    letta.has_conversations = False
    with pytest.raises(FailureError) as raised:
        await gateway.open_conversation(AGENT)
    assert (raised.value.failure.code, raised.value.failure.delivery) == (FailureCode.AGENT_ERROR, Delivery.NO)
    assert "shared" in raised.value.failure.cause


@pytest.mark.parametrize("holder", ["cancelled", "running", "completed", None])
@respx.mock(base_url="http://letta.test", assert_all_called=False)
async def test_a_lock_that_a_cancelled_run_left_behind_is_passed_by(
    respx_mock: respx.MockRouter, holder: str | None
) -> None:
    busy = {"detail": BUSY, **({"run_id": "run-1"} if holder else {})}
    locked = respx_mock.post("/v1/conversations/default/messages").respond(409, json=busy)
    respx_mock.get("/v1/runs/run-1").respond(200, json={"status": holder})
    unlocked = respx_mock.post(f"/v1/agents/{AGENT.id}/messages").respond(200, content=recording("text"))
    gateway = plain_gateway()
    if holder == "cancelled":
        await events_of(gateway, AGENT, "hello")
        await events_of(gateway, AGENT, "hello again")
        assert (locked.call_count, unlocked.call_count) == (2, 2)
    else:
        with pytest.raises(FailureError) as raised:
            await events_of(gateway, AGENT, "hello")
        assert raised.value.failure.code is FailureCode.CONVERSATION_BUSY
        assert not unlocked.called
    await gateway.close()


def plain_gateway() -> LettaGateway:
    """On the plain transport, which respx can stand in for."""
    client = AsyncLetta(base_url="http://letta.test", api_key="k", max_retries=0, http_client=httpx.AsyncClient())
    return LettaGateway(client)


DELIVERY = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
NAMED = Turn(AGENT, UserMessage("once"), delivery_id=DELIVERY, deduplicated=True)
HISTORY = [
    {"message_type": "assistant_message", "otid": "81333299-fd07-4fd1-ac91-f8cdcc2e2980", "run_id": "run-2"},
    {"message_type": "user_message", "otid": f"{DELIVERY}-message", "run_id": "run-2"},
    {"message_type": "system_message", "otid": None, "run_id": None},
]


def test_a_delivery_with_a_name() -> None:
    body = body_of(NAMED)
    assert body["messages"] == [{"role": "user", "content": "once", "otid": f"{DELIVERY}-message"}]
    assert body["background"] is True
    answered = Turn(AGENT, UserMessage("go on"), verdict=Verdict(("c",), approve=True), delivery_id=DELIVERY)
    assert [message["otid"] for message in body_of(answered)["messages"]] == [
        f"{DELIVERY}-verdict",
        f"{DELIVERY}-message",
    ]
    assert "background" not in body_of(answered)


@pytest.mark.parametrize(
    ("history", "active", "found"),
    [
        (HISTORY, [], RunSearch("run-2")),
        (HISTORY, [{"conversation_id": None}], RunSearch("run-2")),
        (HISTORY[2:], [{"conversation_id": None}], RunSearch(undecided=True)),
        (HISTORY[2:], [{"conversation_id": "conv-of-somebody-else"}], RunSearch()),
        ([], [], RunSearch()),
    ],
    ids=["stored", "stored before the end", "not stored yet", "another conversation", "unknown"],
)
@respx.mock(base_url="http://letta.test")
async def test_the_run_of_a_delivery(respx_mock: respx.MockRouter, history: Any, active: Any, found: RunSearch) -> None:
    respx_mock.get("/v1/runs/").respond(200, json=active)
    respx_mock.get("/v1/conversations/default/messages").respond(200, json=history)
    gateway = plain_gateway()
    assert await gateway.find_run(NAMED) == found
    await gateway.close()


@respx.mock(base_url="http://letta.test")
async def test_a_server_without_redis_cannot_deduplicate(respx_mock: respx.MockRouter) -> None:
    detail = "INTERNAL_SERVER_ERROR: Background streaming requires Redis to be running. Please ensure Redis is ..."
    respx_mock.post("/v1/conversations/default/messages").respond(503, json={"detail": detail})
    gateway = plain_gateway()
    with pytest.raises(CannotDeduplicateError):
        [event async for event in gateway.run(NAMED)]
    await gateway.close()


@pytest.mark.parametrize(
    "refusal", [(404, {"detail": "Not Found"}), (409, {"detail": BUSY, "run_id": "run-1"})], ids=["old", "left locked"]
)
@respx.mock(base_url="http://letta.test", assert_all_called=False)
async def test_the_agents_own_route_cannot_deduplicate(respx_mock: respx.MockRouter, refusal: tuple[int, Any]) -> None:
    respx_mock.post("/v1/conversations/default/messages").respond(refusal[0], json=refusal[1])
    respx_mock.get("/v1/runs/run-1").respond(200, json={"status": "cancelled"})
    gateway = plain_gateway()
    with pytest.raises(CannotDeduplicateError):
        [event async for event in gateway.run(NAMED)]
    await gateway.close()
