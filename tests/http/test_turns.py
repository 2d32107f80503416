"""The list of turns, live as well, and stopping one."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from domain.model.api_key import NamedKey, digest_of
from domain.model.events import Accepted, Ended, Text, ToolCall, ToolResult, Usage
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from tests.fakes.gateway import FakeGateway
from tests.fakes.key_store import FakeNamedKeyStore
from tests.http.conftest import Service, Start

pytestmark = pytest.mark.anyio

ALICE = {"Authorization": "Bearer alices key"}
CHIEF = {"Authorization": "Bearer chiefs key"}


def a_gateway() -> FakeGateway:
    return FakeGateway(
        answers={
            "tools": [
                Accepted("run"),
                ToolCall("c", "list_todos", "{}"),
                ToolResult("c", "milk"),
                Text("milk"),
                Usage(5, 2),
                Ended(),
            ],
            "slow": [Accepted("run"), Text("so far"), 30.0, Ended()],
            "fails": [Accepted("run"), Failure(FailureCode.LLM_ERROR, Delivery.YES)],
        }
    )


def keys() -> FakeNamedKeyStore:
    return FakeNamedKeyStore(
        NamedKey("alice", digest_of(b"alices key"), 0.0), NamedKey("chief", digest_of(b"chiefs key"), 0.0, admin=True)
    )


async def the_turns(service: Service, headers: dict[str, str] | None = None, **query: object) -> list[dict[str, Any]]:
    answer = await service.client.get("/api/v1/turns", headers=headers, params=query)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return list(answer.json()["turns"])


async def until(service: Service, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    while True:
        if found := [turn for turn in await the_turns(service) if is_so(turn)]:
            return found[0]
        await asyncio.sleep(0.02)


async def until_running(service: Service) -> dict[str, Any]:
    return await until(service, lambda turn: turn["firstWordAt"] and not turn["endedAt"])


async def test_a_turn_is_listed_with_its_times_tools_and_tokens_and_without_texts(start: Start) -> None:
    service = await start(a_gateway())
    await service.chat("tools")
    [turn] = await the_turns(service)
    assert turn["agentName"] == "anna"
    assert (turn["state"], turn["outcome"], turn["code"]) == ("ended", "answered", None)
    assert turn["tools"] == {"list_todos": 1}
    assert (turn["promptTokens"], turn["completionTokens"]) == (5, 2)
    assert turn["askedAt"] <= turn["sentAt"] <= turn["acceptedAt"] <= turn["firstWordAt"] <= turn["endedAt"]
    assert turn["keyName"] == ""
    assert turn["question"] is None
    assert turn["answer"] is None


async def test_where_the_operator_wants_texts_they_are_told(start: Start) -> None:
    service = await start(a_gateway(), with_texts=True)
    await service.chat("tools")
    [turn] = await the_turns(service)
    assert (turn["question"], turn["answer"]) == ("tools", "milk")


async def test_a_text_that_cannot_be_written_down_is_told_as_far_as_it_can(start: Start) -> None:
    service = await start(a_gateway(), with_texts=True)
    body = b'{"model": "anna", "messages": [{"role": "user", "content": "half of a smile: \\ud83d"}]}'
    headers = {"Content-Type": "application/json"}
    answer = await service.client.post("/v1/chat/completions", content=body, headers=headers)
    assert answer.status_code == 200
    [turn] = await the_turns(service)
    assert turn["question"].startswith("half of a smile: ")


async def test_a_failed_turn_tells_its_code_and_what_became_of_the_message(start: Start) -> None:
    service = await start(a_gateway())
    await service.chat("fails")
    [turn] = await the_turns(service)
    assert (turn["outcome"], turn["code"], turn["delivery"]) == ("failed", "llm_error", "delivered")


async def test_a_key_sees_its_own_turns_and_an_admin_all(start: Start) -> None:
    service = await start(a_gateway(), ring=keys())
    await service.chat("for the main key")
    chat = {"X-Letta-Chat-Key": "kitchen"}
    asked = {"message": "for alice", "agent": "anna"}
    await service.client.post("/api/v1/chat", headers={**ALICE, **chat}, json=asked)
    assert [turn["keyName"] for turn in await the_turns(service, ALICE)] == ["alice"]
    assert [turn["chat"] for turn in await the_turns(service, ALICE)] == ["kitchen"]
    assert [turn["keyName"] for turn in await the_turns(service, CHIEF)] == ["alice", ""]
    assert [turn["keyName"] for turn in await the_turns(service)] == ["alice", ""]


async def test_a_stopped_turn_ends_with_an_honest_failure(start: Start) -> None:
    service = await start(a_gateway(), ring=keys())
    asking = asyncio.create_task(service.chat("slow"))
    turn = await until_running(service)
    assert (await service.client.delete(f"/api/v1/turns/{turn['id']}", headers=ALICE)).status_code == 404
    stopped = await service.client.delete(f"/api/v1/turns/{turn['id']}", headers=CHIEF)
    assert stopped.status_code == 202
    assert stopped.json()["success"] is True
    answer = await asking
    assert answer.json()["error"]["code"] == "cancelled"
    assert answer.headers["x-should-retry"] == "false"
    [ended] = await the_turns(service)
    assert ended["outcome"] == "stopped"
    again = await service.client.delete(f"/api/v1/turns/{turn['id']}")
    assert again.status_code == 409
    assert again.json()["success"] is False


async def test_a_turn_that_waits_is_stopped_before_it_is_delivered(start: Start) -> None:
    gateway = a_gateway()
    service = await start(gateway)
    first = asyncio.create_task(service.chat("slow"))
    running = await until_running(service)
    second = asyncio.create_task(service.chat("never"))
    waiting = await until(service, lambda turn: turn["state"] == "waiting")
    assert waiting["place"] == 1
    await service.client.delete(f"/api/v1/turns/{waiting['id']}")
    assert (await second).json()["error"]["code"] == "cancelled"
    await service.client.delete(f"/api/v1/turns/{running['id']}")
    await first
    assert "never" not in gateway.heard


@pytest.mark.parametrize("turn_id", ["turn_0", "x", "turn_%00", "turn_0%00", "turn_%F0%9F%98%80", "%2e%2e", "t" * 5000])
async def test_nothing_but_the_id_of_a_turn_is_found(service: Service, turn_id: str) -> None:
    answer = await service.client.delete(f"/api/v1/turns/{turn_id}")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "query",
    [{"limit": "0"}, {"limit": "2001"}, {"limit": "x"}, {"limit": "٣"}, {"since": "soon"}, {"since": "2026-99-01"}],
)
async def test_what_cannot_be_meant_is_refused(service: Service, query: dict[str, str]) -> None:
    answer = await service.client.get("/api/v1/turns", params=query)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(next(iter(query)))


async def test_pages_are_bounded_and_say_whether_there_is_more(start: Start) -> None:
    service = await start(a_gateway())
    for text in ("one", "two", "three"):
        await service.chat(text)
    page = (await service.client.get("/api/v1/turns", params={"limit": 2})).json()
    assert (len(page["turns"]), page["hasMore"]) == (2, True)
    assert page["turns"][0]["askedAt"] >= page["turns"][1]["askedAt"]
    since = page["turns"][0]["askedAt"]
    assert len(await the_turns(service, since=since)) == 1


async def events(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, Any]]:
    async for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


async def test_a_stream_tells_the_turns_and_then_what_changes(start: Start) -> None:
    service = await start(a_gateway())
    await service.chat("before")
    async with service.client.stream("GET", "/api/v1/turns/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = events(answer.aiter_lines())
        snapshot = await anext(told)
        assert (snapshot["type"], len(snapshot["turns"])) == ("turns", 1)
        asking = asyncio.create_task(service.chat("slow"))
        while (news := await anext(told))["turn"]["firstWordAt"] is None:
            assert news["type"] == "turn"
        turn_id = news["turn"]["id"]
        await service.client.delete(f"/api/v1/turns/{turn_id}")
        while (news := await anext(told))["turn"]["state"] != "ended":
            pass
        assert news["turn"]["outcome"] == "stopped"
        await asking


async def test_a_stream_shows_a_key_its_own_turns_only_and_ends_when_the_key_is_revoked(start: Start) -> None:
    ring = keys()
    service = await start(a_gateway(), ring=ring)
    async with service.client.stream("GET", "/api/v1/turns/stream", headers=ALICE) as answer:
        told = events(answer.aiter_lines())
        assert (await anext(told))["turns"] == []
        await service.chat("not alice's")
        await service.client.post("/api/v1/chat", headers=ALICE, json={"message": "hers"})
        assert (await anext(told))["turn"]["keyName"] == "alice"
        ring.remove("alice")
        rest = [each async for each in told]
        assert all(each["turn"]["keyName"] in ("alice", None) for each in rest)


async def test_a_stream_ends_when_the_service_stops(start: Start) -> None:
    service = await start(a_gateway(), grace=20.0)
    async with (
        httpx.AsyncClient(base_url=service.url, headers=service.client.headers, timeout=15) as client,
        client.stream("GET", "/api/v1/turns/stream") as answer,
    ):
        lines = answer.aiter_lines()
        await anext(lines)
        service.server.should_exit = True
        assert [line async for line in lines if line] == []
