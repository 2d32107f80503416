"""What goes on for a key when it is revoked, or expires: it ends, and nothing more is delivered for it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from domain.model.api_key import NamedKey, digest_of
from domain.model.events import Accepted, Ended, Text, ToolCall, ToolResult
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.services import api_keys, key_revocation
from domain.services.jobs import Jobs
from tests.fakes.gateway import FakeGateway, Step
from tests.fakes.key_store import FakeNamedKeyStore
from tests.http.conftest import Service, Start, question

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
ASYNC = "/api/v1/chat/async"
FIRST_STEP: list[Step] = [Accepted("run"), Text("so far"), 60.0, Text(" and on"), Ended()]
LATER_STEP: list[Step] = [
    Accepted("run"),
    ToolCall("c", "t", "{}"),
    ToolResult("c", "r"),
    Text("so far"),
    60.0,
    Ended(),
]
ALICE = {"Authorization": "Bearer alices key"}
BOB = {"Authorization": "Bearer bobs key"}


def key(name: str, expires_at: float | None = None) -> NamedKey:
    return NamedKey(name, digest_of(f"{name}s key".encode()), 0.0, expires_at=expires_at)


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> FakeNamedKeyStore:
    monkeypatch.setattr(api_keys, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(key_revocation, "LOOK_EVERY", 0.05)
    return FakeNamedKeyStore(key("alice"), key("bob"))


@pytest.fixture
async def service(start: Start, ring: FakeNamedKeyStore) -> Service:
    return await start(FakeGateway(answers={"first": FIRST_STEP, "later": LATER_STEP}), ring=ring)


async def begun(service: Service, deliveries: int = 1) -> None:
    for _ in range(500):
        if len(service.gateway.delivered) == deliveries:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(service.gateway.heard)


def ask(service: Service, text: str, headers: dict[str, str], **more: object) -> "asyncio.Task[httpx.Response]":
    return asyncio.create_task(service.client.post(CHAT, json=question(text, **more), headers=headers))


def errors_in(stream: str) -> list[dict[str, Any]]:
    events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
    return [event["error"] for event in events if "error" in event]


@pytest.mark.parametrize(("text", "fate"), [("first", "Nothing was delivered"), ("later", "was delivered")])
async def test_a_stream_ends_with_an_error_and_the_agent_is_stopped(
    service: Service, ring: FakeNamedKeyStore, text: str, fate: str
) -> None:
    asked = ask(service, text, ALICE, stream=True)
    await begun(service)
    ring.remove("alice")
    answer = await asyncio.wait_for(asked, 20)
    assert answer.status_code == 200
    assert "so far" in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")
    (error,) = errors_in(answer.text)
    assert error["code"] == "key_revoked"
    assert fate in error["message"]
    assert service.gateway.cancelled == ["run-1"]


async def test_of_an_agent_that_does_not_stop_nothing_is_claimed(service: Service, ring: FakeNamedKeyStore) -> None:
    async def deaf(_turn: object, run_id: str) -> None:
        service.gateway.cancelled.append(run_id)

    service.gateway.cancel = deaf  # type: ignore[method-assign, assignment]
    asked = ask(service, "first", ALICE, stream=True)
    await begun(service)
    ring.remove("alice")
    (error,) = errors_in((await asyncio.wait_for(asked, 20)).text)
    assert "may or may not" in error["message"]


async def test_a_plain_request_gets_an_error(service: Service, ring: FakeNamedKeyStore) -> None:
    asked = ask(service, "later", ALICE)
    await begun(service)
    ring.remove("alice")
    answer = await asyncio.wait_for(asked, 20)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "key_revoked")
    assert answer.headers["x-should-retry"] == "false"
    assert "new message" not in answer.text


async def test_a_response_is_an_error_too(service: Service, ring: FakeNamedKeyStore) -> None:
    body = {"model": "anna", "input": "later"}
    asking = [
        asyncio.create_task(service.client.post("/v1/responses", json={**body, "stream": stream}, headers=ALICE))
        for stream in (False, True)
    ]
    await begun(service)
    ring.remove("alice")
    whole, stream = [await asyncio.wait_for(each, 20) for each in asking]
    assert (whole.status_code, whole.json()["error"]["code"]) == (401, "key_revoked")
    assert stream.status_code == 401 or '"code":"key_revoked"' in stream.text


async def test_a_native_stream_ends_with_an_error(service: Service, ring: FakeNamedKeyStore) -> None:
    headers = {**ALICE, "Accept": "text/event-stream"}
    asked = asyncio.create_task(service.client.post("/api/v1/chat", json={"message": "later"}, headers=headers))
    await begun(service)
    ring.remove("alice")
    last = json.loads((await asyncio.wait_for(asked, 20)).text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert (last["type"], last["success"]) == ("result", False)
    assert "revoked" in last["error"]


async def test_a_key_that_expires_is_a_key_that_is_revoked(service: Service, ring: FakeNamedKeyStore) -> None:
    ring.kept = [key("alice", expires_at=time.time() + 1.0), key("bob")]
    asked = ask(service, "later", ALICE, stream=True)
    await begun(service)
    (error,) = errors_in((await asyncio.wait_for(asked, 20)).text)
    assert error["code"] == "key_revoked"


async def test_what_waits_is_never_delivered_and_others_go_on(service: Service, ring: FakeNamedKeyStore) -> None:
    service.gateway.answers["slow"] = [Accepted("run"), 1.5, Text("done"), Ended()]
    running = ask(service, "slow", {})
    await begun(service)
    waiting, job = ask(service, "mine", ALICE), await leave(service, "mine too", ALICE)
    bobs, bobs_job = ask(service, "bobs", BOB), await leave(service, "bobs job", BOB)
    await asyncio.sleep(0.2)
    ring.remove("alice")
    assert (await asyncio.wait_for(waiting, 20)).json()["error"]["code"] == "key_revoked"
    assert (await found(service, job, {}))["status"] == "cancelled"
    assert (await running).json()["choices"][0]["message"]["content"] == "done"
    assert (await bobs).status_code == 200
    await ended(service, bobs_job, BOB)
    assert service.gateway.heard == ["slow", "bobs", "bobs job"]


async def test_a_running_job_is_stopped(service: Service, ring: FakeNamedKeyStore) -> None:
    job = await leave(service, "later", ALICE)
    await begun(service)
    ring.remove("alice")
    assert (await ended(service, job, {}))["status"] == "cancelled"
    assert service.gateway.cancelled == ["run-1"]


async def test_keys_that_cannot_be_read_stop_nobody(
    service: Service, ring: FakeNamedKeyStore, caplog: pytest.LogCaptureFixture
) -> None:
    service.gateway.answers["slow"] = [Accepted("run"), 0.7, Text("done"), Ended()]
    asked = ask(service, "slow", ALICE)
    await begun(service)
    ring.broken = True
    assert (await asked).json()["choices"][0]["message"]["content"] == "done"
    # There were many looks, and it was one failure.
    assert [record.getMessage() for record in caplog.records].count("No named key works: it cannot be read") == 1


async def test_the_next_key_of_that_name_ends_nothing_of_the_old_ones_sooner_or_later(
    service: Service, ring: FakeNamedKeyStore
) -> None:
    """A key that is revoked and made again within a moment is another one, all the same."""
    asked = ask(service, "later", ALICE, stream=True)
    await begun(service)
    ring.kept = [key("alice"), key("bob")]
    (error,) = errors_in((await asyncio.wait_for(asked, 20)).text)
    assert error["code"] == "key_revoked"


@pytest.mark.parametrize("path", [CHAT, "/api/v1/chat", ASYNC])
async def test_a_body_that_is_whole_after_its_key_was_revoked(
    service: Service, ring: FakeNamedKeyStore, path: str
) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield body[:10]
        ring.remove("alice")
        await asyncio.sleep(0.1)
        yield body[10:]

    body = json.dumps({**question("too late"), "message": "too late"}).encode()
    answer = await service.client.post(path, content=slowly(), headers={**ALICE, "Content-Type": "application/json"})
    assert answer.status_code == 401
    assert service.gateway.heard == []


@pytest.mark.parametrize("slow", [True, False])
async def test_jobs_that_cannot_be_cancelled_yet_keep_no_turn_of_another_key_alive(
    service: Service, ring: FakeNamedKeyStore, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    async def away(*_: object) -> None:
        if slow:
            await asyncio.sleep(3600)
        raise FailureError(Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO))

    asked = [ask(service, "later", ALICE), ask(service, "other", BOB, model="bert")]
    service.gateway.answers["other"] = LATER_STEP
    await begun(service, 2)
    monkeypatch.setattr(Jobs, "cancel_jobs_of", away)
    monkeypatch.setattr(Jobs, "owners", lambda _: {"somebody"})
    await asyncio.sleep(0.2)
    ring.kept = []
    answers = await asyncio.wait_for(asyncio.gather(*asked), 20)
    assert [answer.json()["error"]["code"] for answer in answers] == ["key_revoked"] * 2


async def leave(service: Service, message: str, headers: dict[str, str]) -> str:
    answer = await service.client.post(ASYNC, json={"message": message}, headers=headers)
    return str(answer.json()["jobId"])


async def found(service: Service, job_id: str, headers: dict[str, str]) -> dict[str, Any]:
    answer = await service.client.get(f"{ASYNC}/{job_id}", headers=headers)
    assert answer.status_code == 200
    return dict(answer.json())


async def ended(service: Service, job_id: str, headers: dict[str, str]) -> dict[str, Any]:
    for _ in range(500):
        answer = await service.client.get(f"{ASYNC}/{job_id}", headers=headers)
        if answer.status_code == 200 and answer.json()["status"] not in ("queued", "running"):
            return dict(answer.json())
        await asyncio.sleep(0.02)
    raise AssertionError(answer.text)
