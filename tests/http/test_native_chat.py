"""LettaBot's own endpoints: what its documentation says, and what its clients were seen to get."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from domain.model.events import Accepted, Ended, Reasoning, Text, ToolCall, ToolResult
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.turn_rules import TurnRules
from tests.fakes.gateway import ANNA, BERT, FakeGateway, Step
from tests.http.conftest import Service, Start, question

pytestmark = pytest.mark.anyio

CHAT = "/api/v1/chat"
STREAM = {"Accept": "text/event-stream"}

TOOL_TURN: list[Step] = [
    Accepted("run-1"),
    Reasoning("Let me "),
    Reasoning("think."),
    Text("Let me look."),
    ToolCall("abc", "list_todos"),
    ToolCall("abc", arguments='{"list":'),
    ToolCall("abc", arguments='"work"}'),
    ToolCall("def", "count", "no JSON"),
    ToolResult("abc", "Water the plants"),
    ToolResult("def", "broken", ok=False),
    Text("Water the "),
    Text("plants."),
    Ended(),
]
FAILING: list[Step] = [
    Accepted("run-2"),
    Text("partial"),
    Failure(FailureCode.AGENT_ERROR, Delivery.YES, "exploded"),
]
LOST = Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO, "refused", retry_after=5)


@pytest.fixture
async def service(start: Start) -> Service:
    return await start(FakeGateway(answers={"work?": TOOL_TURN, "fail": FAILING, "slow": [0.3, Accepted(), Ended()]}))


async def ask(service: Service, body: Any, **more: Any) -> httpx.Response:
    return await service.client.post(CHAT, json=body, **more)


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [json.loads(event.removeprefix("data: ")) for event in answer.text.split("\n\n") if event]


async def test_a_whole_answer(service: Service) -> None:
    answer = await ask(service, {"message": "hello"})
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "response": "You said: hello", "agentName": "anna"}
    assert service.gateway.heard == ["hello"]


@pytest.mark.parametrize("name", ["bert", BERT.id])
async def test_an_agent_is_asked_for_by_name_or_id(service: Service, name: str) -> None:
    answer = await ask(service, {"message": "hello", "agent": name})
    assert answer.json()["agentName"] == "bert"
    assert service.gateway.delivered[0].agent == BERT


@pytest.mark.parametrize("name", [None, ""])
async def test_without_a_name_the_first_agent_answers(service: Service, name: str | None) -> None:
    assert (await ask(service, {"message": "hello", "agent": name})).json()["agentName"] == "anna"


async def test_a_stream_tells_all_that_the_agent_does(service: Service) -> None:
    answer = await ask(service, {"message": "work?"}, headers=STREAM)
    events = events_of(answer)
    # How thoughts and words are cut depends on what came together.
    assert [event["type"] for event in events if event["type"] not in ("reasoning", "assistant")] == [
        "tool_call",
        "tool_call",
        "tool_result",
        "tool_result",
        "result",
    ]
    assert "".join(event["content"] for event in events if event["type"] == "reasoning") == "Let me think."
    assert events[3:7] == [
        {"type": "tool_call", "toolName": "list_todos", "toolCallId": "abc", "toolInput": {"list": "work"}},
        {"type": "tool_call", "toolName": "count", "toolCallId": "def", "toolInput": "no JSON"},
        {"type": "tool_result", "toolCallId": "abc", "content": "Water the plants", "isError": False},
        {"type": "tool_result", "toolCallId": "def", "content": "broken", "isError": True},
    ]
    assert events[-1] == {"type": "result", "success": True}


async def test_a_stream_says_in_all_what_a_whole_answer_says(service: Service) -> None:
    streamed = events_of(await ask(service, {"message": "work?"}, headers=STREAM))
    whole = await ask(service, {"message": "work?", "agent": "bert"})
    said = "".join(event["content"] for event in streamed if event["type"] == "assistant")
    assert said == whole.json()["response"] == "Let me look.\n\nWater the plants."


async def test_no_line_reader_is_misled(start: Start) -> None:
    odd = "a\u2028b\u2029c\u0085d"
    service = await start(FakeGateway(answers={"odd": [Accepted(), Text(odd), Ended()]}))
    answer = await ask(service, {"message": "odd"}, headers=STREAM)
    assert not set("\u2028\u2029\u0085") & set(answer.text)
    assert events_of(answer)[0]["content"] == odd


async def test_a_failure_in_mid_stream_is_its_result(service: Service) -> None:
    *_, said, result = events_of(await ask(service, {"message": "fail"}, headers=STREAM))
    assert said == {"type": "assistant", "content": "partial"}
    assert result["type"] == "result"
    assert result["success"] is False
    assert "delivered" in result["error"]


async def test_a_failed_whole_answer(service: Service) -> None:
    answer = await ask(service, {"message": "fail"})
    assert answer.status_code == 502
    assert answer.json().keys() == {"success", "error"}
    assert answer.json()["success"] is False
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("headers", [{}, STREAM])
async def test_a_backend_that_is_away_is_an_http_error_in_both_ways(start: Start, headers: dict[str, str]) -> None:
    gateway = FakeGateway()
    service = await start(gateway)
    await ask(service, {"message": "hello"})
    gateway.down = LOST
    answer = await ask(service, {"message": "again"}, headers=headers)
    assert answer.status_code == 503
    assert answer.json()["success"] is False
    assert (answer.headers["x-should-retry"], answer.headers["retry-after"]) == ("true", "5")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": None},
        {"message": ""},
        {"message": " \n"},
        {"message": 7},
        {"message": ["hello"]},
        {"message": {"text": "hello"}},
        {"agent": "anna"},
    ],
)
async def test_a_message_that_is_missing(service: Service, body: Any) -> None:
    answer = await ask(service, body)
    assert answer.status_code == 400
    assert answer.json() == {"success": False, "error": "Missing required field: message"}
    assert service.gateway.delivered == []


@pytest.mark.parametrize("body", [None, [], "hello", 7, {"message": "hello", "agent": 7}])
async def test_a_body_that_is_no_request(service: Service, body: Any) -> None:
    answer = await ask(service, body)
    assert answer.status_code == 400
    assert answer.json()["success"] is False
    assert service.gateway.delivered == []


async def test_a_body_that_is_no_json(service: Service) -> None:
    for content, headers in ((b"{", {"Content-Type": "application/json"}), (b"hello", {"Content-Type": "text/plain"})):
        answer = await service.client.post(CHAT, content=content, headers=headers)
        assert answer.status_code == 400
        assert "JSON" in answer.json()["error"]


async def test_an_unknown_agent(service: Service) -> None:
    answer = await ask(service, {"message": "hello", "agent": "nobody"})
    assert answer.status_code == 404
    assert answer.json() == {"success": False, "error": "Agent not found: nobody. Available: anna, bert"}


@pytest.mark.parametrize(("method", "path"), [("POST", CHAT), ("GET", "/api/v1/status")])
async def test_nothing_without_the_key(service: Service, method: str, path: str) -> None:
    answer = await service.client.request(
        method, path, json={"message": "hello"}, headers={"Authorization": "Bearer wrong"}
    )
    assert answer.status_code == 401
    assert answer.json()["success"] is False
    assert service.gateway.delivered == []


async def test_other_methods_are_refused_in_the_same_shape(service: Service) -> None:
    answer = await service.client.get(CHAT)
    assert answer.status_code == 405
    assert answer.json()["error"]


async def test_both_apis_stand_in_one_queue(service: Service) -> None:
    await asyncio.gather(
        ask(service, {"message": "slow"}),
        service.chat("slow"),
        ask(service, {"message": "slow", "agent": "anna"}, headers=STREAM),
    )
    assert len(service.gateway.delivered) == 3
    assert service.gateway.most_at_once == 1


async def test_a_full_queue_says_so(start: Start) -> None:
    gateway = FakeGateway(answers={"slow": [0.5, Accepted(), Ended()]})
    service = await start(gateway, rules=TurnRules(max_waiting=0))
    first = asyncio.create_task(ask(service, {"message": "slow"}))
    await asyncio.sleep(0.1)
    answer = await ask(service, {"message": "hello"})
    assert answer.status_code == 429
    assert answer.json()["success"] is False
    assert int(answer.headers["retry-after"]) > 0
    assert (await first).status_code == 200


async def test_an_idempotency_key_holds_here_too(service: Service) -> None:
    headers = {"Idempotency-Key": "once"}
    first, again = [await ask(service, {"message": "hello"}, headers=headers) for _ in range(2)]
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert service.gateway.heard == ["hello"]


async def test_a_chat_key_gives_a_conversation_of_its_own(service: Service) -> None:
    await ask(service, {"message": "hello"}, headers={"X-Letta-Chat-Key": "support"})
    assert [turn.conversation for turn in service.gateway.delivered] == ["conversation-1"]


async def test_the_status_counts_turns(service: Service) -> None:
    async def status() -> Any:
        return (await service.client.get("/api/v1/status")).json()

    idle = {"id": ANNA.id, "running": 0, "waiting": 0}
    jobs = dict.fromkeys(("queued", "running", "completed", "failed", "cancelled"), 0)
    assert await status() == {
        "agents": {"anna": idle, "bert": {**idle, "id": BERT.id}},
        "conversations": 0,
        "waiting": 0,
        "jobs": jobs,
    }
    asking = [asyncio.create_task(ask(service, {"message": "slow"})) for _ in range(3)]
    asking.append(asyncio.create_task(service.client.post("/v1/chat/completions", json=question("slow", model="bert"))))
    await asyncio.sleep(0.15)
    busy = await status()
    assert busy["agents"]["anna"] == {"id": ANNA.id, "running": 1, "waiting": 2}
    assert busy["agents"]["bert"] == {"id": BERT.id, "running": 1, "waiting": 0}
    assert (busy["conversations"], busy["waiting"]) == (2, 2)
    await asyncio.gather(*asking)
    assert (await status())["conversations"] == 0


async def test_both_are_described(service: Service) -> None:
    paths = (await service.client.get("/openapi.json")).json()["paths"]
    assert paths[CHAT]["post"]["requestBody"]
    assert paths["/api/v1/status"]["get"]["responses"]["200"]
