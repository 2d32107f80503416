"""Several workers, and several replicas: a conversation for each chat, in order, one delivery for each message."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.postgres.server import PostgresServer
from tests.state.letta import CountingLetta
from tests.state.service import Service, outcomes

pytestmark = [pytest.mark.anyio, pytest.mark.state]

CHATS = [f"chat {number}" for number in range(5)]
# Seconds between two messages of one chat, and messages after which the first one is certainly known everywhere: this
# machine may be busy.
APART = 0.15
LATER = 15


@pytest.fixture
def letta() -> Iterator[CountingLetta]:
    letta = CountingLetta(redis=False, thinks=0.05)
    letta.start()
    yield letta
    letta.stop()


@pytest.fixture(params=["4 workers", "4 workers on PostgreSQL", "2 replicas"])
def services(
    request: pytest.FixtureRequest, tmp_path: Path, letta: CountingLetta, postgres: PostgresServer
) -> Iterator[list[Service]]:
    state = "" if request.param == "4 workers" else postgres.new_database()
    names = ["one", "two"] if request.param == "2 replicas" else ["one"]
    api = "maxWaitingTurns: 100"
    services = [Service(tmp_path, letta.url, state, name, api) for name in names]
    with ExitStack() as stack:
        for service in services:
            service.launch(("--workers", "4") if len(names) == 1 else ())
            stack.callback(service.stop)
        for service in services:
            service.wait()
            # Before that it may still be importing.
            assert httpx.get(f"{service.url}/health/ready", timeout=30).status_code == 200
        yield services


def clients(services: list[Service]) -> list[httpx.AsyncClient]:
    """Of each service some that keep their connections, so that each has a worker of its own."""
    headers = {"Authorization": f"Bearer {services[0].key}"}
    return [httpx.AsyncClient(base_url=service.url, headers=headers, timeout=120) for service in services * 4]


async def ask(client: httpx.AsyncClient, chat: str, text: str, agent: str = "anna", **headers: str) -> httpx.Response:
    body = {"model": agent, "messages": [{"role": "user", "content": text}]}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/v1/chat/completions", json=body, headers={"X-Letta-Chat-Key": chat, **named})


async def test_200_requests_in_5_chats(services: list[Service], letta: CountingLetta) -> None:
    letta.thinks = 0.25
    pool = clients(services)

    async def talk(chat: str) -> list[httpx.Response]:
        asked = []
        for number in range(40):
            asked.append(asyncio.create_task(ask(random.choice(pool), chat, f"{chat}: {number:02}")))
            await asyncio.sleep(APART)
        return await asyncio.gather(*asked)

    answers = await asyncio.gather(*map(talk, CHATS))
    for chat, told in zip(CHATS, answers, strict=True):
        texts = [answer.json()["choices"][0]["message"]["content"] for answer in told]
        assert texts == [f"Done: {chat}: {number:02}" for number in range(40)]
        runs = [run for run in letta.runs if run.text.startswith(chat)]
        numbers = [int(run.text.removeprefix(f"{chat}: ")) for run in runs]
        assert sorted(numbers) == list(range(40))
        assert all(number > max(numbers[:at], default=0) - LATER for at, number in enumerate(numbers)), numbers
        assert len({run.conversation for run in runs}) == 1
    assert len(letta.conversations) - letta.deleted == len(CHATS)
    assert letta.most_at_once == 1


async def test_200_requests_at_once(services: list[Service], letta: CountingLetta) -> None:
    """Nobody knows which came first; but all come, each once, one after the other."""
    pool = clients(services)
    texts = [f"{chat}: {number}" for number in range(40) for chat in CHATS]
    answers = await asyncio.gather(*(ask(random.choice(pool), text.partition(":")[0], text) for text in texts))
    assert [answer.json()["choices"][0]["message"]["content"] for answer in answers] == [f"Done: {t}" for t in texts]
    assert Counter(letta.texts) == Counter(texts)
    assert letta.most_at_once == 1
    assert len(letta.conversations) - letta.deleted == len(CHATS)


async def test_the_same_request_at_once_everywhere(services: list[Service], letta: CountingLetta) -> None:
    answers = await asyncio.gather(
        *(ask(client, "chat", "hello", Idempotency_Key="a-key") for client in clients(services) for _ in range(3))
    )
    assert [answer.text for answer in answers if answer.status_code != 200] == []
    assert {answer.json()["choices"][0]["message"]["content"] for answer in answers} == {"Done: hello"}
    assert letta.texts == ["hello"]
    assert {answer.headers.get("Idempotency-Replayed") for answer in answers} == {None, "true"}


async def test_a_client_that_loses_patience_again_and_again(services: list[Service], letta: CountingLetta) -> None:
    letta.thinks = 3.0
    answer = None
    for count, client in enumerate(clients(services) * 3):
        client.timeout = httpx.Timeout(0.7)
        with contextlib.suppress(httpx.TimeoutException):
            answer = await ask(client, "chat", "hello", X_Stainless_Retry_Count=str(count))
            break
    assert answer is not None
    assert answer.json()["choices"][0]["message"]["content"] == "Done: hello"
    assert letta.texts == ["hello"]


async def test_every_process_ends_what_goes_on_for_a_revoked_key(services: list[Service], letta: CountingLetta) -> None:
    letta.thinks = 300.0
    alice = {"Authorization": f"Bearer {services[0].command('key', 'create', 'alice').strip()}"}
    pool = clients(services)
    for client in pool:
        client.headers.update(alice)
    asked = [asyncio.create_task(ask(client, f"chat {at}", "hello")) for at, client in enumerate(pool)]
    for _ in range(1000):
        if len(letta.runs) == len(pool):
            break
        await asyncio.sleep(0.05)
    behind = asyncio.create_task(ask(pool[0], "chat 0", "behind"))
    chat = {"X-Letta-Chat-Key": "chat 0"}
    jobs = [await client.post("/api/v1/chat/async", json={"message": "a job"}, headers=chat) for client in pool]
    services[-1].command("key", "revoke", "alice")
    answers = await asyncio.wait_for(asyncio.gather(*asked, behind), 60)
    assert {answer.json()["error"]["code"] for answer in answers} == {"key_revoked"}
    ended = outcomes(services[0], {str(at): job.json()["jobId"] for at, job in enumerate(jobs)})
    assert {job["status"] for job in ended.values()} == {"cancelled"}
    assert letta.texts == ["hello"] * len(pool)


async def test_a_worker_that_dies_costs_one_answer(services: list[Service], letta: CountingLetta) -> None:
    [service, *others] = services
    if others:
        pytest.skip("a replica has no workers")
    letta.thinks = 2.0
    pool = clients(services)
    asking = [asyncio.create_task(ask(client, "chat", f"message {number}")) for number, client in enumerate(pool)]
    await asyncio.sleep(1)
    before = service.workers
    for pid in before[:2]:
        os.kill(pid, signal.SIGKILL)
    answers = await asyncio.gather(*asking, return_exceptions=True)
    for number, answer in enumerate(answers):
        if isinstance(answer, BaseException):
            # Its worker is dead. Whatever became of the message, the same request finds it.
            answers[number] = await ask(random.choice(pool), "chat", f"message {number}")
    for answer in answers:
        assert isinstance(answer, httpx.Response)
        assert answer.status_code == 200 or answer.json()["error"]["code"] == "delivery_unknown", answer.text
    assert max(Counter(letta.texts).values()) == 1
    assert letta.most_at_once == 1
    assert len(service.workers) == 4
    assert not set(before[:2]) & set(service.workers)


async def test_jobs_of_a_dead_process_are_done_by_the_others(
    tmp_path: Path, letta: CountingLetta, postgres: PostgresServer
) -> None:
    """And what the others are doing is not begun again."""
    letta.redis, letta.thinks = True, 1.0
    url = postgres.new_database()
    one, two = (Service(tmp_path, letta.url, url, name) for name in ("one", "two"))
    one.start()
    two.start()
    accepted: dict[str, str] = {}
    for service in (one, two):
        with service.client() as client:
            for number in range(3):
                for chat in CHATS:
                    body = {"message": f"{chat}, {service.port}, {number}", "agent": "anna"}
                    told = client.post("/api/v1/chat/async", json=body, headers={"X-Letta-Chat-Key": chat})
                    accepted[body["message"]] = told.json()["jobId"]
    await asyncio.sleep(1.5)
    one.kill()
    ended = await asyncio.to_thread(outcomes, two, accepted)
    two.stop()
    assert {text: (job["status"], job["response"]) for text, job in ended.items()} == {
        text: ("completed", f"Done: {text}") for text in accepted
    }
    assert Counter(letta.texts) == Counter(list(accepted))
    for chat in CHATS:
        assert [text for text in letta.texts if text.startswith(chat)] == [t for t in accepted if t.startswith(chat)]
    assert letta.most_at_once == 1


def test_replicas_share_their_keys(tmp_path: Path, letta: CountingLetta, postgres: PostgresServer) -> None:
    """Although each has a directory of its own."""
    url = postgres.new_database()
    replicas = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        replicas.append(Service(tmp_path / name, letta.url, url, name))
    for replica in replicas:
        replica.launch()
    for replica in replicas:
        replica.wait()

    def statuses(key: str) -> list[int]:
        headers = {"Authorization": f"Bearer {key}"}
        return [httpx.get(f"{each.url}/v1/models", headers=headers, timeout=30).status_code for each in replicas]

    key = replicas[0].command("key", "show").strip()
    assert replicas[1].command("key", "show").strip() == key
    assert statuses(key) == [200, 200]
    alices = replicas[0].command("key", "create", "alice").strip()
    time.sleep(1.5)
    assert statuses(alices) == [200, 200]
    replicas[1].command("key", "revoke", "alice")
    time.sleep(1.5)
    assert statuses(alices) == [401, 401]
    for replica in replicas:
        replica.stop()
    assert not list(tmp_path.glob("*/lettabot-*.json"))
