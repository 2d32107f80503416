"""Recorded turns become turn events; what goes wrong becomes a failure that tells the truth about delivery."""

import asyncio
import json
import socket
from collections.abc import Sequence
from contextlib import ExitStack

import pytest
import respx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from letta_client import AsyncLetta

from adapters.letta.client import letta_client
from adapters.letta.gateway import LettaGateway
from domain.model.agent import Agent
from domain.model.answer_text import whole_text
from domain.model.events import (
    Accepted,
    ApprovalRequest,
    Ended,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    TurnEvent,
    Usage,
)
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from ports.contract.samples import calls_of, events_of
from tests.examples import examples
from tests.letta_adapter.replay import ReplayLetta

pytestmark = pytest.mark.anyio

AGENT = Agent("agent-00000000-0000-4000-8000-000000000000", "name 0", 0)
WORK = "1. water the plants (work)\n2. call the bank (work)"


async def failure_of(gateway: LettaGateway, text: str, agent: Agent = AGENT) -> Failure:
    with pytest.raises(FailureError) as raised:
        await events_of(gateway, agent, text)
    return raised.value.failure


def kinds(events: Sequence[TurnEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


async def test_text(gateway: LettaGateway) -> None:
    assert await events_of(gateway, AGENT, "text") == [
        Accepted("run-225bfb9a-835e-4422-b76f-78cc4cc187ad"),
        *(Text(word) for word in ("Hello", " from", " the", " stub", " model", " .")),
        Usage(370, 6),
        Ended(),
    ]


async def test_a_tool_then_text(gateway: LettaGateway) -> None:
    events = await events_of(gateway, AGENT, "tool_then_text")
    assert events[1:6] == [
        ToolCall("call_stub_000015", name="list_todos"),
        ToolCall("call_stub_000015", arguments='{"list_n'),
        ToolCall("call_stub_000015", arguments='ame": "w'),
        ToolCall("call_stub_000015", arguments='ork"}'),
        ToolResult("call_stub_000015", WORK),
    ]
    assert whole_text(events) == "The tool answered 1 time(s) , all done ."


async def test_text_on_both_sides_of_a_tool(gateway: LettaGateway) -> None:
    events = await events_of(gateway, AGENT, "text_and_tool")
    assert whole_text(events) == "Let me look at your list .\n\nThe tool answered 1 time(s) , all done ."


async def test_reasoning(gateway: LettaGateway) -> None:
    events = await events_of(gateway, AGENT, "reasoning")
    thoughts = "".join(event.text for event in events if isinstance(event, Reasoning))
    assert thoughts == "I should greet the user ."
    assert whole_text(events) == "Hello from the stub model ."


async def test_parallel_tools(gateway: LettaGateway) -> None:
    events = await events_of(gateway, AGENT, "parallel_tools")
    calls = calls_of(events)
    assert ["".join(piece.arguments for piece in call) for call in calls.values()] == [
        '{"list_name": "work"}',
        '{"list_name": "home"}',
    ]
    results = [event for event in events if isinstance(event, ToolResult)]
    assert [result.call_id for result in results] == list(calls)
    assert results[1].text == WORK.replace("work", "home")


async def test_a_call_that_needs_approval_is_the_end_of_the_turn(gateway: LettaGateway) -> None:
    *_, request, end = await events_of(gateway, AGENT, "requires_approval")
    assert isinstance(request, ApprovalRequest)
    assert (request.name, json.loads(request.arguments)) == ("delete_todo", {"number": 2})
    assert end == Ended()


async def test_an_agent_that_says_nothing(gateway: LettaGateway) -> None:
    assert kinds(await events_of(gateway, AGENT, "empty")) == ["Accepted", "Usage", "Ended"]


async def test_pings_are_not_events(gateway: LettaGateway) -> None:
    assert kinds(await events_of(gateway, AGENT, "pings")).count("Accepted") == 1


@pytest.mark.parametrize(
    ("recording", "code", "delivery"),
    [
        ("llm_error", FailureCode.LLM_ERROR, Delivery.UNKNOWN),
        ("llm_rate_limit", FailureCode.LLM_RATE_LIMIT, Delivery.UNKNOWN),
        ("llm_authentication", FailureCode.LLM_AUTHENTICATION, Delivery.UNKNOWN),
        ("cut_in_mid_answer", FailureCode.LLM_ERROR, Delivery.UNKNOWN),
        ("tool_then_error", FailureCode.LLM_ERROR, Delivery.YES),
        ("cancelled", FailureCode.CANCELLED, Delivery.UNKNOWN),
        ("approval_pending", FailureCode.APPROVAL_PENDING, Delivery.NO),
        ("status 401", FailureCode.UPSTREAM_AUTHENTICATION, Delivery.NO),
        ("status 403", FailureCode.UPSTREAM_AUTHENTICATION, Delivery.NO),
        ("status 409", FailureCode.CONVERSATION_BUSY, Delivery.NO),
        ("status 429", FailureCode.BACKEND_RATE_LIMIT, Delivery.NO),
        ("status 500", FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN),
        ("status 502", FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN),
        ("cut", FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN),
        ("reset", FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN),
        ("cut_in_stream", FailureCode.CONNECTION_LOST, Delivery.UNKNOWN),
        ("reset_in_stream", FailureCode.CONNECTION_LOST, Delivery.UNKNOWN),
    ],
)
async def test_every_failure_is_named_and_nothing_is_sent_twice(
    letta: ReplayLetta, gateway: LettaGateway, recording: str, code: FailureCode, delivery: Delivery
) -> None:
    failure = await failure_of(gateway, recording)
    assert (failure.code, failure.delivery) == (code, delivery)
    assert "stub error" not in failure.cause
    assert len(letta.deliveries) == 1


async def test_a_refused_connection_delivers_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    gateway = LettaGateway(letta_client(f"http://127.0.0.1:{port}", None))
    failure = await failure_of(gateway, "text")
    assert (failure.code, failure.delivery) == (FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)
    assert failure.retry_after
    for question in (gateway.agents(), gateway.check(), gateway.find("x"), gateway.find(AGENT.id)):
        with pytest.raises(FailureError) as raised:
            await question
        assert raised.value.failure.code is FailureCode.BACKEND_UNAVAILABLE
    await gateway.close()


async def test_a_connection_that_never_comes_about_delivers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.letta.client.CONNECT", 0.2)
    with socket.socket() as listener, ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            # They fill the queue; nobody accepts, and the system answers no further connection.
            each = waiting.enter_context(socket.socket())
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        gateway = LettaGateway(letta_client(f"http://127.0.0.1:{listener.getsockname()[1]}", None))
        failure = await failure_of(gateway, "text")
        await gateway.close()
    assert (failure.code, failure.delivery) == (FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)
    assert "ConnectionTimeoutError" in failure.cause


@pytest.mark.parametrize("recording", ["text", "cut_in_mid_answer"])
async def test_a_turn_is_over_when_letta_says_so_even_if_the_connection_stays_open(
    letta: ReplayLetta, gateway: LettaGateway, monkeypatch: pytest.MonkeyPatch, recording: str
) -> None:
    monkeypatch.setattr("adapters.letta.gateway.END_WITHIN", 0.2)
    if recording != "text":
        assert (await failure_of(gateway, f"linger {recording}")).code is FailureCode.LLM_ERROR
        return
    assert whole_text(await events_of(gateway, AGENT, "linger text")) == "Hello from the stub model ."
    assert not letta.held.is_set()


async def test_an_unknown_agent(letta: ReplayLetta, gateway: LettaGateway) -> None:
    nobody = Agent("agent-00000000-0000-4000-8000-999999999999", "x", 0)
    assert (await failure_of(gateway, "text", nobody)).code is FailureCode.MODEL_NOT_FOUND
    assert letta.deliveries == []


async def test_a_server_without_conversations_gets_the_message_once_too(
    letta: ReplayLetta, gateway: LettaGateway
) -> None:
    letta.has_conversations = False
    for _ in range(2):
        assert whole_text(await events_of(gateway, AGENT, "text")) == "Hello from the stub model ."
    assert [delivery["target"] for delivery in letta.deliveries] == [f"/v1/agents/{AGENT.id}/messages"] * 2


async def test_a_message_is_sent_to_the_default_conversation_which_has_letta_s_lock(
    letta: ReplayLetta, gateway: LettaGateway
) -> None:
    await events_of(gateway, AGENT, "text")
    [delivery] = letta.deliveries
    assert delivery["target"] == "/v1/conversations/default/messages"
    assert delivery["agent_id"] == AGENT.id
    [message] = delivery["messages"]
    assert (message["role"], message["content"]) == ("user", "text")
    assert delivery["stream_tokens"] is True
    assert delivery["include_pings"] is True
    assert "background" not in delivery


async def test_300_turns_are_open_at_once(letta: ReplayLetta, gateway: LettaGateway) -> None:
    turns = [asyncio.create_task(events_of(gateway, AGENT, "hold")) for _ in range(300)]
    async with asyncio.timeout(20):
        while letta.open < 300:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    letta.held.set()
    for turn in turns:
        with pytest.raises(FailureError):
            await turn


@pytest.mark.parametrize("environment", ["", None])
async def test_an_empty_key_is_no_key(
    letta: ReplayLetta, monkeypatch: pytest.MonkeyPatch, environment: str | None
) -> None:
    if environment is not None:
        monkeypatch.setenv("LETTA_API_KEY", environment)
    for key in ("", None):
        gateway = LettaGateway(letta_client(letta.url, key))
        await gateway.check()
        await gateway.close()
    assert letta.authorizations == {None}


async def test_the_key_is_sent(letta: ReplayLetta) -> None:
    gateway = LettaGateway(letta_client(letta.url, "letta-key"))
    await events_of(gateway, AGENT, "text")
    await gateway.close()
    assert letta.authorizations == {"Bearer letta-key"}


@pytest.mark.parametrize("count", [0, 1, 100, 250])
async def test_all_pages_of_agents_are_listed(letta: ReplayLetta, gateway: LettaGateway, count: int) -> None:
    letta.agents = ReplayLetta(count).agents
    assert [agent.name for agent in await gateway.agents()] == [f"name {number}" for number in range(count)]


async def test_a_list_that_starts_over_comes_to_an_end(letta: ReplayLetta, gateway: LettaGateway) -> None:
    letta.agents = ReplayLetta(250).agents
    letta.forgets_cursors = True
    assert len(await gateway.agents()) == 100


async def test_a_name_that_cannot_exist_is_not_asked_for(letta: ReplayLetta, gateway: LettaGateway) -> None:
    assert await gateway.find("a\0b") == []
    assert letta.authorizations == set()


async def test_names_may_be_null(letta: ReplayLetta, gateway: LettaGateway) -> None:
    letta.agents = [{"id": AGENT.id, "name": None, "created_at": None}]
    assert await gateway.agents() == [Agent(AGENT.id, "", 0)]


def event(message_type: str, **fields: object) -> str:
    return f"data: {json.dumps({'message_type': message_type, **fields})}\n\n"


async def raw(gateway: LettaGateway, *events: str) -> Sequence[TurnEvent]:
    return await events_of(gateway, AGENT, f"raw {''.join(events).encode().hex()}")


async def test_what_is_not_known_is_skipped(gateway: LettaGateway) -> None:
    events = await raw(
        gateway,
        event("ping", run_id="run-1"),
        event("message_of_the_future", content={"a": [1]}),
        event("hidden_reasoning_message", state="redacted"),
        event("assistant_message", content=[{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]),
        event("stop_reason", stop_reason="end_turn"),
    )
    assert events == [Accepted("run-1"), Text("in parts"), Ended()]


@pytest.mark.parametrize("reason", ["error", "invalid_tool_call", "a_reason_of_the_future"])
async def test_a_bad_stop_reason_is_an_agent_error(gateway: LettaGateway, reason: str) -> None:
    with pytest.raises(FailureError) as raised:
        await raw(gateway, event("ping", run_id="run-1"), event("stop_reason", stop_reason=reason))
    assert raised.value.failure.code is FailureCode.AGENT_ERROR


@settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=400)
    | st.lists(st.sampled_from(["ping", "stop_reason", "x"]).map(event)).map("".join).map(str.encode)
)
async def test_no_stream_of_bytes_breaks_more_than_its_turn(gateway: LettaGateway, body: bytes) -> None:
    try:
        events = await events_of(gateway, AGENT, f"raw {body.hex()}")
    except FailureError:
        return
    assert isinstance(events[-1], Ended)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, FailureCode.UPSTREAM_AUTHENTICATION),
        (403, FailureCode.UPSTREAM_AUTHENTICATION),
        (404, FailureCode.UPSTREAM_UNEXPECTED),
        (429, FailureCode.BACKEND_RATE_LIMIT),
        (500, FailureCode.BACKEND_UNAVAILABLE),
    ],
)
@respx.mock(base_url="http://letta.test")
async def test_questions_that_letta_refuses(respx_mock: respx.MockRouter, status: int, code: FailureCode) -> None:
    route = respx_mock.get("/v1/agents/").respond(status, json={"detail": "no"})
    gateway = LettaGateway(AsyncLetta(base_url="http://letta.test", api_key="k", max_retries=0))
    with pytest.raises(FailureError) as raised:
        await gateway.agents()
    assert raised.value.failure.code is code
    assert route.call_count == 1


@respx.mock(base_url="http://letta.test")
async def test_an_answer_that_is_no_list_of_agents(respx_mock: respx.MockRouter) -> None:
    respx_mock.get("/v1/agents/").respond(200, html="<h1>not Letta</h1>")
    gateway = LettaGateway(AsyncLetta(base_url="http://letta.test", api_key="k", max_retries=0))
    with pytest.raises(FailureError):
        await gateway.check()
