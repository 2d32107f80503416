"""Queues, retries and hang-ups, as clients meet them on the wire."""

import asyncio
import json

import httpx
import pytest
import structlog

from domain.model.events import Accepted, Ended, Text, ToolCall, ToolResult
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.turn_rules import OnDisconnect, TurnRules
from domain.services import disconnect_policy
from tests.fakes.gateway import FakeGateway, Step
from tests.http.conftest import Service, Start, question

pytestmark = pytest.mark.anyio

SLOW: list[Step] = [Accepted("run"), Text("so far"), 0.6, Text(" and on"), Ended()]
SILENT: list[Step] = [Accepted("run"), 1.2, Text("at last"), Ended()]
FAILS: list[Step] = [
    Accepted("run"),
    ToolCall("c", "t", "{}"),
    ToolResult("c", "r"),
    Failure(FailureCode.LLM_ERROR, Delivery.YES),
]
CHAT = "/v1/chat/completions"


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disconnect_policy, "GRACE", 0.3)


@pytest.fixture
async def service(start: Start) -> Service:
    return await start(FakeGateway(answers={"slow": SLOW, "silent": SILENT, "fails": FAILS}))


async def given_up(service: Service, text: str, after: float, **more: object) -> None:
    # Only the answer is waited for in vain: a connection takes its time on a busy machine.
    with pytest.raises(httpx.ReadTimeout):
        await service.client.post(CHAT, json=question(text, **more), timeout=httpx.Timeout(30, read=after))


async def eventually(service: Service, heard: list[str]) -> None:
    async with asyncio.timeout(5):
        while service.gateway.heard != heard:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def said(answer: httpx.Response) -> str:
    if "event-stream" not in answer.headers["content-type"]:
        return str(answer.json()["choices"][0]["message"]["content"])
    events = [json.loads(event[6:]) for event in answer.text.split("\n\n") if event.startswith("data: {")]
    return "".join(choice["delta"].get("content", "") for event in events for choice in event["choices"])


@pytest.mark.parametrize("stream", [False, True])
async def test_beyond_the_bound_a_client_is_told_to_come_back(start: Start, stream: bool) -> None:
    service = await start(FakeGateway(answers={"slow": SLOW}), rules=TurnRules(max_waiting=1))
    first = asyncio.create_task(service.chat("slow"))
    await eventually(service, ["slow"])
    second = asyncio.create_task(service.chat("waits"))
    await asyncio.sleep(0.1)
    refused = await service.chat("refused", stream=stream)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "turn_queue_full"
    assert refused.headers["x-should-retry"] == "true"
    assert int(refused.headers["retry-after"]) > 0
    assert [said(await first), said(await second)] == ["so far and on", "You said: waits"]
    assert service.gateway.heard == ["slow", "waits"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_times_out_and_asks_again_gets_its_answer(service: Service, stream: bool) -> None:
    await given_up(service, "silent", 0.4, stream=stream)
    again = await service.chat("silent", stream=stream)
    assert said(again) == "at last"
    assert again.headers["idempotency-replayed"] == "true"
    assert service.gateway.heard == ["silent"]
    assert "idempotency-replayed" not in (await service.chat("silent")).headers


async def test_a_stream_may_ask_for_what_a_plain_request_began_only_with_the_same_bytes(service: Service) -> None:
    await given_up(service, "silent", 0.4)
    assert said(await service.chat("silent", stream=True)) == "at last"
    assert service.gateway.heard == ["silent", "silent"]


async def test_the_header_of_openais_sdks_is_believed(service: Service) -> None:
    first = asyncio.create_task(service.chat("slow"))
    await eventually(service, ["slow"])
    again = await service.client.post(CHAT, json=question("slow"), headers={"X-Stainless-Retry-Count": "1"})
    assert again.headers["idempotency-replayed"] == "true"
    assert said(again) == said(await first) == "so far and on"
    assert service.gateway.heard == ["slow"]


@pytest.mark.parametrize("name", ["Idempotency-Key", "X-Idempotency-Key"])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_idempotency_key_is_one_turn(service: Service, name: str, stream: bool) -> None:
    def ask(text: str, key: str = "a-key") -> asyncio.Task[httpx.Response]:
        body = question(text, stream=stream)
        return asyncio.create_task(service.client.post(CHAT, json=body, headers={name: key}))

    first, second = ask("slow"), ask("slow")
    assert said(await first) == said(await second) == "so far and on"
    third = await ask("slow")
    assert said(third) == "so far and on"
    assert third.headers["idempotency-replayed"] == "true"
    conflict = await ask("something else")
    assert (conflict.status_code, conflict.json()["error"]["code"]) == (409, "idempotency_key_conflict")
    assert conflict.headers["x-should-retry"] == "false"
    assert said(await ask("slow", "another-key")) == "so far and on"
    assert service.gateway.heard == ["slow", "slow"]


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "ümlaut"])
async def test_a_key_that_is_none_is_refused(service: Service, key: str) -> None:
    answer = await service.client.post(CHAT, json=question(), headers={b"Idempotency-Key": key.encode("latin-1")})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_idempotency_key"
    assert service.gateway.heard == []


async def test_an_error_after_delivery_is_repeated_with_a_status_that_nobody_retries(service: Service) -> None:
    first = await service.chat("fails")
    assert first.status_code == 502
    for _ in range(2):
        again = await service.chat("fails")
        assert again.status_code == 409
        assert again.json()["error"]["code"] == "llm_error"
        assert again.headers["x-should-retry"] == "false"
        assert "30 seconds" in again.json()["error"]["message"]
    assert service.gateway.heard == ["fails"]


async def test_an_error_after_delivery_is_repeated_for_as_long_as_its_key_is_remembered(service: Service) -> None:
    for status in (502, 409):
        answer = await service.client.post(CHAT, json=question("fails"), headers={"Idempotency-Key": "a-key"})
        assert answer.status_code == status
        assert "a new message needs a new one" in answer.json()["error"]["message"]
        assert "seconds" not in answer.json()["error"]["message"]
    assert service.gateway.heard == ["fails"]


@pytest.mark.parametrize("text", ["slow", "silent"])
async def test_a_stream_that_is_hung_up_is_stopped_also_while_the_agent_is_silent(service: Service, text: str) -> None:
    async with service.client.stream("POST", CHAT, json=question(text, stream=True)) as answer:
        await anext(answer.aiter_text())
    await eventually(service, [])
    assert service.gateway.cancelled == ["run-1"]
    assert said(await service.chat("next")) == "You said: next"


async def test_a_plain_request_that_is_hung_up_goes_on(service: Service) -> None:
    await given_up(service, "silent", 0.3)
    await asyncio.sleep(1.5)
    assert service.gateway.cancelled == []
    assert service.gateway.heard == ["silent"]


async def test_a_plain_request_is_stopped_if_the_operator_wants_it(start: Start) -> None:
    rules = TurnRules(on_disconnect=OnDisconnect.CANCEL)
    service = await start(FakeGateway(answers={"silent": [Accepted("run"), 5.0, Ended()]}), rules=rules)
    await given_up(service, "silent", 0.3)
    await eventually(service, [])
    assert service.gateway.cancelled == ["run-1"]


@pytest.mark.parametrize("stream", [False, True])
async def test_who_waits_in_the_queue_and_hangs_up_is_not_delivered(service: Service, stream: bool) -> None:
    first = asyncio.create_task(service.chat("silent"))
    await eventually(service, ["silent"])
    await given_up(service, "never", 0.2, stream=stream)
    assert said(await service.chat("next")) == "You said: next"
    await first
    assert service.gateway.heard == ["silent", "next"]


async def test_two_that_share_a_turn_do_not_disturb_each_other(service: Service) -> None:
    headers = {"Idempotency-Key": "shared"}

    async def stays() -> httpx.Response:
        return await service.client.post(CHAT, json=question("silent", stream=True), headers=headers)

    staying = asyncio.create_task(stays())
    await eventually(service, ["silent"])
    async with service.client.stream("POST", CHAT, json=question("silent", stream=True), headers=headers) as answer:
        await anext(answer.aiter_text())
    assert said(await staying) == "at last"
    assert service.gateway.cancelled == []


async def test_a_hang_up_is_in_the_log(service: Service) -> None:
    with structlog.testing.capture_logs() as logged:
        async with asyncio.timeout(30):
            # On a busy machine, a client may give up before it has sent its request.
            while not any(line.get("status") == 499 for line in logged):
                await given_up(service, "silent", 0.2)
                await asyncio.sleep(0.3)


async def test_a_turn_that_takes_too_long_is_a_504(start: Start) -> None:
    service = await start(
        FakeGateway(answers={"slow": [Accepted("run"), 60.0, Ended()]}), rules=TurnRules(turn_timeout=0.2)
    )
    answer = await service.chat("slow")
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "turn_timeout")
    assert answer.headers["x-should-retry"] == "false"
    assert service.gateway.cancelled == ["run-1"]
