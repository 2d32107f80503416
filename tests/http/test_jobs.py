"""/api/v1/chat/async: what clients of jobs get. What jobs survive stands in tests/state."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from domain.model.api_key import NamedKey, digest_of
from domain.model.events import Accepted, Ended, Failed, Text, ToolCall, ToolResult
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.job import JobRules
from domain.model.run_record import RunRecord
from domain.model.turn import Turn
from domain.services import answer_recovery, job_pause, job_runner
from entrypoints.settings.job_options import JobOptions
from tests.fakes.gateway import FakeGateway, Step
from tests.fakes.key_store import FakeNamedKeyStore
from tests.http.conftest import KEY, Service, Start, question

pytestmark = pytest.mark.anyio

ASYNC = "/api/v1/chat/async"
SLOW: Sequence[Step] = [Accepted("run"), Text("so far"), 1.0, Text(" and on"), Ended()]
FAILS: Sequence[Step] = [
    Accepted("run"),
    ToolCall("c", "t", "{}"),
    ToolResult("c", "r"),
    Failure(FailureCode.LLM_ERROR, Delivery.YES, "secret cause"),
]
POISON: Sequence[Step] = [Accepted("run"), Failure(FailureCode.LLM_ERROR, Delivery.NO)]
AWAY = Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_pause, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(job_runner, "LOOK_EVERY", 0.05)


@pytest.fixture
async def service(start: Start) -> Service:
    ring = FakeNamedKeyStore(NamedKey("alice", digest_of(b"alices key"), 0.0))
    return await start(FakeGateway(answers={"slow": SLOW, "fails": FAILS, "poison": POISON}), ring=ring)


async def leave(service: Service, message: str, **more: Any) -> str:
    answer = await service.client.post(ASYNC, json={"message": message, **more})
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["jobId"]
    assert isinstance(job_id, str)
    return job_id


async def report(service: Service, job_id: str) -> dict[str, Any]:
    answer = await service.client.get(f"{ASYNC}/{job_id}")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert isinstance(found, dict)
    return found


async def finished(service: Service, job_id: str) -> dict[str, Any]:
    return await seen(service, job_id, lambda found: found["status"] not in ("queued", "running"))


async def seen(service: Service, job_id: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The report of the job, as soon as it is like that."""
    for _ in range(500):
        if wanted(found := await report(service, job_id)):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(found)


async def test_a_job_is_accepted_as_lettabot_did(service: Service) -> None:
    answer = await service.client.post(ASYNC, json={"message": "hello", "agent": "bert"})
    assert answer.status_code == 202
    body = answer.json()
    assert body.pop("jobId").startswith("job_")
    assert body == {"success": True, "status": "queued", "agentName": "bert"}


async def test_what_becomes_of_it(service: Service) -> None:
    found = await finished(service, await leave(service, "hello"))
    times = [found.pop(name) for name in ("createdAt", "startedAt", "finishedAt")]
    assert times == sorted(times)
    assert all(time.endswith("Z") for time in times)
    assert found.pop("jobId").startswith("job_")
    assert found == {
        "success": True,
        "status": "completed",
        "agentName": "anna",
        "attempts": 1,
        "response": "You said: hello",
    }
    assert service.gateway.heard == ["hello"]


async def test_jobs_of_one_conversation_are_done_in_order_and_one_at_a_time(service: Service) -> None:
    ids = [await leave(service, text) for text in ("slow", "second", "third")]
    other = await leave(service, "elsewhere", agent="bert")
    assert (await finished(service, other))["status"] == "completed"
    assert [(await report(service, id_))["status"] for id_ in ids] == ["running", "queued", "queued"]
    await finished(service, ids[-1])
    assert [text for text in service.gateway.heard if text != "elsewhere"] == ["slow", "second", "third"]
    assert service.gateway.most_at_once == 1


async def test_a_failure_after_delivery_is_final(service: Service) -> None:
    found = await finished(service, await leave(service, "fails"))
    assert (found["success"], found["status"], found["attempts"]) == (False, "failed", 1)
    assert found["code"] == "llm_error"
    assert "language model failed" in found["error"]
    assert "secret" not in found["error"]
    assert len(service.gateway.delivered) == 1


@pytest.mark.parametrize("kept", [True, False])
async def test_what_could_not_be_found_out_is_asked_again_before_anything_is_sent_again(
    start: Start, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    monkeypatch.setattr(answer_recovery, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(answer_recovery, "SEEN_WITHIN", 0.05)
    error = Failure(FailureCode.LLM_ERROR, Delivery.UNKNOWN)
    service = await start(FakeGateway(answers={"odd": [Accepted("run"), error]}))
    service.gateway.records["run-1"] = [FailureError(AWAY)]
    job = await leave(service, "odd")
    await seen(service, job, lambda found: found["attempts"] > 0 and found["status"] == "queued")
    del service.gateway.answers["odd"]
    end = (Text("All of it."), Ended()) if kept else (Failed(error),)
    service.gateway.records["run-1"] = [RunRecord(over=True, remembered=kept, events=end)]
    found = await finished(service, job)
    assert (found["status"], found["response"]) == ("completed", "All of it." if kept else "You said: odd")
    assert service.gateway.heard == ["odd"] * (1 if kept else 2)


async def test_poison_is_given_up_after_some_tries_and_the_next_job_comes(service: Service) -> None:
    poison, after = await leave(service, "poison"), await leave(service, "after")
    found = await finished(service, poison)
    assert (found["status"], found["attempts"], found["code"]) == ("failed", 5, "llm_error")
    assert (await finished(service, after))["status"] == "completed"


async def test_while_letta_is_away_jobs_wait_and_nothing_is_counted(service: Service) -> None:
    assert (await service.client.get("/v1/models")).status_code == 200
    service.gateway.down = AWAY
    job_id = await leave(service, "hello")
    found = await seen(service, job_id, lambda found: found["attempts"] >= 7)
    assert found["status"] in ("queued", "running")
    assert found["code"] == "backend_unavailable"
    service.gateway.down = None
    assert (await finished(service, job_id))["response"] == "You said: hello"
    assert service.gateway.heard == ["hello"]


async def test_a_message_that_breaks_the_connection_each_time_is_given_up(start: Start) -> None:
    lost = Failure(FailureCode.CONNECTION_LOST, Delivery.UNKNOWN)

    class Crashing(FakeGateway):
        async def record(self, turn: Turn, run_id: str) -> RunRecord:
            return RunRecord(over=True, remembered=False, events=(Failed(lost),))

    service = await start(Crashing(answers={"breaks": [Accepted("run"), lost]}))
    found = await finished(service, await leave(service, "breaks"))
    assert (found["status"], found["code"], found["attempts"]) == ("failed", "connection_lost", JobRules().tries)


async def test_what_the_record_contradicts_is_not_delivered_again(start: Start) -> None:
    class Forgetful(FakeGateway):
        async def record(self, turn: Turn, run_id: str) -> RunRecord:
            return RunRecord(
                over=True, remembered=False, events=(Failed(Failure(FailureCode.LLM_ERROR, Delivery.UNKNOWN)),)
            )

    service = await start(Forgetful(answers={"fails": FAILS}))
    found = await finished(service, await leave(service, "fails"))
    assert (found["status"], found["code"], found["attempts"]) == ("failed", "llm_error", 1)
    assert "may or may not" in found["error"]
    assert service.gateway.heard == ["fails"]


async def test_a_waiting_job_is_cancelled_at_once(service: Service) -> None:
    running, waiting = await leave(service, "slow"), await leave(service, "never")
    answer = await service.client.delete(f"{ASYNC}/{waiting}")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    again = await service.client.delete(f"{ASYNC}/{waiting}")
    assert (again.status_code, again.json()["success"]) == (200, False)
    await finished(service, running)
    assert "never" not in service.gateway.heard


async def test_a_running_job_is_stopped_by_its_run(service: Service) -> None:
    job_id = await leave(service, "slow")
    await seen(service, job_id, lambda _: bool(service.gateway.runs))
    answer = await service.client.delete(f"{ASYNC}/{job_id}")
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    assert (await finished(service, job_id))["status"] == "cancelled"
    assert service.gateway.cancelled == list(service.gateway.runs)


async def test_an_ended_job_cannot_be_cancelled(service: Service) -> None:
    job_id = await leave(service, "hello")
    await finished(service, job_id)
    answer = await service.client.delete(f"{ASYNC}/{job_id}")
    assert answer.status_code == 409
    assert answer.json() == {"success": False, "error": "The job has ended already: completed."}


@pytest.mark.parametrize("headers", [{"Idempotency-Key": "key"}, {"x-stainless-retry-count": "1"}])
async def test_a_retry_gets_the_same_job(service: Service, headers: dict[str, str]) -> None:
    first = await service.client.post(
        ASYNC, json={"message": "hello"}, headers={**headers, "x-stainless-retry-count": "0"}
    )
    again = await service.client.post(ASYNC, json={"message": "hello"}, headers=headers)
    assert first.json() == again.json()
    await finished(service, first.json()["jobId"])
    assert service.gateway.heard == ["hello"]


async def test_the_same_words_again_are_another_job(service: Service) -> None:
    assert await leave(service, "hello") != await leave(service, "hello")


async def test_a_key_is_for_one_request(service: Service) -> None:
    answers = [
        await service.client.post(ASYNC, json={"message": text}, headers={"Idempotency-Key": "key"})
        for text in ("one", "two")
    ]
    assert [answer.status_code for answer in answers] == [202, 409]


async def test_an_api_key_has_so_many_open_jobs_at_most(start: Start) -> None:
    ring = FakeNamedKeyStore(NamedKey("alice", digest_of(b"alices key"), 0.0))
    service = await start(FakeGateway(answers={"slow": SLOW}), ring=ring, job_rules=JobRules(max_open=2))
    job_ids = [await leave(service, "slow") for _ in range(2)]
    answer = await service.client.post(ASYNC, json={"message": "hello"})
    assert answer.status_code == 429
    assert answer.json()["success"] is False
    assert answer.json()["code"] == "too_many_jobs"
    assert "wait until some have ended, or cancel them. Nothing was delivered." in answer.json()["error"]
    assert answer.headers["x-should-retry"] == "true"
    assert int(answer.headers["Retry-After"]) > 0
    alices = await service.client.post(
        ASYNC, json={"message": "hello", "agent": "bert"}, headers={"Authorization": "Bearer alices key"}
    )
    assert alices.status_code == 202
    assert (await service.client.delete(f"{ASYNC}/{job_ids[1]}")).status_code == 200
    await leave(service, "hello")


async def test_messages_of_jobs_are_so_long_at_most(start: Start) -> None:
    service = await start(FakeGateway(answers={"slow": SLOW}), job_rules=JobRules(max_open_bytes=10))
    await leave(service, "slow")
    answer = await service.client.post(ASYNC, json={"message": "ü" * 4})
    assert (answer.status_code, answer.headers["x-should-retry"]) == (429, "true")
    await leave(service, "ü" * 3)
    answer = await service.client.post(ASYNC, json={"message": "ü" * 6})
    assert (answer.status_code, answer.headers["x-should-retry"]) == (429, "false")
    assert "server.api.maxOpenJobBytes" in answer.json()["error"]


@pytest.mark.parametrize("before", [True, False], ids=["while the job waits", "when it has ended"])
async def test_a_key_that_is_the_id_of_a_job_is_a_key_like_any_other(service: Service, before: bool) -> None:
    first = await leave(service, "slow")
    job_id = await leave(service, "hello")
    if not before:
        await finished(service, job_id)
    for _ in range(2):
        answer = await service.client.post(
            "/v1/chat/completions",
            json=question("from a client", model="bert"),
            headers={"Idempotency-Key": job_id},
        )
        assert answer.json()["choices"][0]["message"]["content"] == "You said: from a client"
    await finished(service, first)
    assert (await finished(service, job_id))["response"] == "You said: hello"
    assert sorted(service.gateway.heard) == ["from a client", "hello", "slow"]


async def test_a_job_is_its_owners(service: Service) -> None:
    job_id = await leave(service, "hello")
    for method in ("GET", "DELETE"):
        answer = await service.client.request(
            method, f"{ASYNC}/{job_id}", headers={"Authorization": "Bearer alices key"}
        )
        assert answer.status_code == 404
        assert (
            await service.client.request(method, f"{ASYNC}/{job_id}", headers={"Authorization": "x"})
        ).status_code == 401


@pytest.mark.parametrize("job_id", ["job_1", "x", "%00", "a b", "ü"])
async def test_there_is_no_such_job(service: Service, job_id: str) -> None:
    answer = await service.client.get(f"{ASYNC}/{job_id}")
    assert answer.status_code == 404
    assert answer.json()["success"] is False


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"message": "hi", "agent": "nobody"}, 404, "Agent not found: nobody. Available: anna, bert"),
        ({}, 400, "Missing required field: message"),
        (None, 400, "The body: expected `object`, got `null`."),
        ({"message": "hi", "callbackUrl": 5}, 400, "callbackUrl: expected `str | null`, got `int`."),
        (
            {"message": "hi", "callbackUrl": "hook"},
            400,
            "callbackUrl: expected a URL such as https://example.org/hook.",
        ),
        ({"message": "hi", "callbackUrl": "https://"}, 400, "callbackUrl: expected a URL such as"),
        ({"message": "hi", "callbackUrl": "https://a:b@example.org"}, 400, "callbackUrl: expected a URL such as"),
        ({"message": "hi", "callbackUrl": "https://[::1"}, 400, "callbackUrl: expected a URL such as"),
        ({"message": "hi", "callbackUrl": "ftp://example.org"}, 400, "callbackUrl: expected a URL such as"),
        ({"message": "hi", "callbackUrl": "http://example.org"}, 400, "callbackUrl: only https is allowed here."),
        ({"message": "hi", "callbackUrl": "https://10.0.0.1/x"}, 400, "callbackUrl: private addresses are not allowed"),
        ({"message": "hi", "callbackUrl": "https://[::1]/x"}, 400, "callbackUrl: private addresses are not allowed"),
        ({"message": "hi", "callbackUrl": "https://localhost"}, 400, "callbackUrl: private addresses are not allowed"),
    ],
)
async def test_what_is_refused(service: Service, body: Any, status: int, error: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await service.client.post(ASYNC, content=json.dumps(body), headers=headers)
    assert answer.status_code == status
    assert answer.json()["success"] is False
    assert answer.json()["error"].startswith(error)


async def test_the_status_counts_jobs(service: Service) -> None:
    job_ids = [await leave(service, text) for text in ("hello", "slow", "later")]
    await finished(service, job_ids[0])
    await seen(service, job_ids[1], lambda found: found["status"] == "running")
    assert (await service.client.get("/api/v1/status")).json()["jobs"] == {
        "queued": 1,
        "running": 1,
        "completed": 1,
        "failed": 0,
        "cancelled": 0,
    }


class Hook:
    """Somebody who wants to be called back. `refusals`: how many calls are answered with an error."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.refusals = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        self.calls.append((headers, await reader.readexactly(int(headers["content-length"]))))
        status = "500 No" if len(self.calls) <= self.refusals else "204 Thanks"
        writer.write(f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def called(self, times: int = 1) -> tuple[dict[str, str], bytes]:
        for _ in range(500):
            if len(self.calls) >= times:
                return self.calls[-1]
            await asyncio.sleep(0.02)
        raise AssertionError("nobody called")


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    hook = Hook()
    server = await asyncio.start_server(hook.serve, "127.0.0.1", 0)
    hook.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?a=b"
    yield hook
    server.close()


OPEN = JobOptions(allow_http_callbacks=True, allow_private_callbacks=True)


@pytest.mark.parametrize("text", ["hello", "fails"])
async def test_a_callback_tells_what_has_become_of_the_job(start: Start, hook: Hook, text: str) -> None:
    service = await start(FakeGateway(answers={"fails": FAILS}), job_options=OPEN)
    job_id = await leave(service, text, callbackUrl=hook.url)
    headers, body = await hook.called()
    assert json.loads(body) == await report(service, job_id)
    assert json.loads(body)["status"] in ("completed", "failed")
    # As docs/jobs.md has it.
    secret = hashlib.sha256(KEY.encode()).hexdigest()
    assert headers["x-lettabot-signature"] == "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()
    assert headers["content-type"] == "application/json"
    assert headers["host"] == hook.url.split("/")[2]


async def test_a_callback_is_tried_again_and_then_no_more(start: Start, hook: Hook) -> None:
    hook.refusals = 2
    service = await start(FakeGateway(), job_options=OPEN)
    await leave(service, "hello", callbackUrl=hook.url)
    await hook.called(3)
    await asyncio.sleep(0.5)
    assert len(hook.calls) == 3
    assert len({body for _, body in hook.calls}) == 1


async def test_a_callback_by_somebody_whose_key_was_revoked_is_not_sent(start: Start, hook: Hook) -> None:
    ring = FakeNamedKeyStore(NamedKey("alice", digest_of(b"alices key"), 0.0))
    service = await start(FakeGateway(answers={"slow": SLOW}), job_options=OPEN, ring=ring)
    answer = await service.client.post(
        ASYNC, json={"message": "slow", "callbackUrl": hook.url}, headers={"Authorization": "Bearer alices key"}
    )
    assert answer.status_code == 202
    ring.remove("alice")
    await asyncio.sleep(2.5)
    assert hook.calls == []


async def test_the_documentation_knows_jobs(service: Service) -> None:
    paths = (await service.client.get("/openapi.json")).json()["paths"]
    assert "202" in paths[ASYNC]["post"]["responses"]
    assert {"get", "delete"} <= paths[ASYNC + "/{job_id}"].keys()


@pytest.mark.parametrize("job_id", ["nonsense", "job_x%00", "job_%C3%A4", "..%2F..%2Fstatus"])
async def test_what_is_no_id_is_no_job(service: Service, job_id: str) -> None:
    for method in ("GET", "DELETE"):
        assert (await service.client.request(method, f"{ASYNC}/{job_id}")).status_code == 404


@pytest.mark.parametrize("url", ["https://e.org/\x01", "https://\u2603.example/", "https://e.org/a b", "https://"])
async def test_a_callback_url_that_could_be_understood_in_two_ways(service: Service, url: str) -> None:
    answer = await service.client.post(ASYNC, json={"message": "hi", "callbackUrl": url})
    assert answer.status_code == 400
    assert "callbackUrl" in answer.json()["error"]


async def test_a_bug_costs_a_try(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_pause, "LONGEST_PAUSE", 0.05)
    service = await start()

    def broken(*_: object) -> None:
        raise ValueError("bug")

    monkeypatch.setattr(job_runner, "TurnRequest", broken)
    found = await finished(service, await leave(service, "hello"))
    assert (found["status"], found["code"]) == ("failed", "internal_error")
    assert "ValueError" not in found["error"]
