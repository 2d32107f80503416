"""Four workers under load, of which one is killed each second: nothing that was acknowledged is lost, nothing comes
twice, chats keep their order.

LETTABOT_LOAD_SECONDS: for how long."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.postgres.server import PostgresServer
from tests.state.letta import CountingLetta
from tests.state.service import Service, outcomes

pytestmark = [pytest.mark.anyio, pytest.mark.state]

SECONDS = float(os.environ.get("LETTABOT_LOAD_SECONDS", "15"))
A_SECOND = 50
CHATS = 25
JOBS_EVERY = 0.25


@pytest.fixture
def letta() -> Iterator[CountingLetta]:
    letta = CountingLetta(thinks=0.1)
    letta.start()
    yield letta
    letta.stop()


class Load:
    """Clients that ask one message after the other, each until it is answered; and one that leaves jobs."""

    def __init__(self, service: Service) -> None:
        self.answered: list[str] = []
        self.unknown: list[str] = []
        self.jobs: dict[str, str] = {}
        self.problems: list[str] = []
        self._service = service
        self._client = service.client_async()
        self._until = time.monotonic() + SECONDS

    async def run(self) -> None:
        async with self._client:
            await asyncio.gather(*(self._talk(f"chat {number}") for number in range(CHATS)), self._leave_jobs())

    async def _talk(self, chat: str) -> None:
        number = 0
        while time.monotonic() < self._until:
            next_at = time.monotonic() + CHATS / A_SECOND
            text = f"{chat}: {number:04}"
            number += 1
            while not await self._ask(text):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))

    async def ask_again(self, text: str) -> str | None:
        """Whether the answer was known, as its header says."""
        async with self._service.client_async() as client:
            told = await self._post(client, text)
        assert told.status_code == 200, told.text
        replayed: str | None = told.headers.get("Idempotency-Replayed")
        return replayed

    async def _post(self, client: httpx.AsyncClient, text: str) -> httpx.Response:
        body = {"model": "anna", "messages": [{"role": "user", "content": text}]}
        headers = {
            "X-Letta-Chat-Key": text.partition(":")[0],
            "Idempotency-Key": text.replace(": ", "-").replace(" ", "-"),
        }
        return await client.post("/v1/chat/completions", json=body, headers=headers)

    async def _ask(self, text: str) -> bool:
        """Whether there is an answer."""
        try:
            told = await self._post(self._client, text)
        except httpx.HTTPError:
            return False
        if told.status_code == 200:
            assert told.json()["choices"][0]["message"]["content"] == f"Done: {text}"
            self.answered.append(text)
            return True
        code = told.json()["error"]["code"]
        if code == "delivery_unknown":
            self.unknown.append(text)
            return True
        if told.headers.get("x-should-retry") != "true":
            self.problems.append(told.text)
            return True
        return False

    async def _leave_jobs(self) -> None:
        number = 0
        while time.monotonic() < self._until:
            await asyncio.sleep(JOBS_EVERY)
            text = f"job {number:04}"
            number += 1
            body = {"message": text, "agent": "bert"}
            try:
                told = await self._client.post(
                    "/api/v1/chat/async", json=body, headers={"X-Letta-Chat-Key": f"jobs {number % 3}"}
                )
            except httpx.HTTPError:
                continue
            if told.status_code == 202:
                self.jobs[text] = told.json()["jobId"]


async def test_a_database_that_dies_under_load(tmp_path: Path, letta: CountingLetta) -> None:
    """kill -9, and a start on the same data, as a standby would start: what was acknowledged is there."""
    server = PostgresServer()
    server.start()
    service = Service(tmp_path, letta.url, server.new_database(), api="maxWaitingTurns: 100")
    service.start(options=("--workers", "2"))
    load = Load(service)
    loading = asyncio.create_task(load.run())
    await asyncio.sleep(SECONDS / 3)
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(1)
    await asyncio.to_thread(server.start)
    await loading
    ended = await asyncio.to_thread(outcomes, service, load.jobs)
    again = [await load.ask_again(text) for text in load.answered]
    service.stop()
    server.remove()
    assert again == ["true"] * len(again), "each answer is known"
    check(load, letta, ended)


async def test_workers_that_die_under_load(tmp_path: Path, state: str, letta: CountingLetta) -> None:
    service = Service(tmp_path, letta.url, state, api="maxWaitingTurns: 100")
    service.start(options=("--workers", "4"))
    load = Load(service)
    loading = asyncio.create_task(load.run())
    kills = 0
    while not loading.done():
        await asyncio.sleep(1.0)
        if kills < SECONDS - 2 and service.workers:
            service.kill_a_worker()
            kills += 1
    await loading
    ended = await asyncio.to_thread(outcomes, service, load.jobs)
    service.stop()
    check(load, letta, ended)
    # So that it was a load, and there were kills.
    assert len(load.answered) > SECONDS * A_SECOND / 4
    assert kills >= SECONDS / 2


def check(load: Load, letta: CountingLetta, ended: dict[str, dict[str, str]]) -> None:
    told = Counter(letta.texts)
    assert {text: count for text, count in told.items() if count > 1} == {}
    assert [text for text in load.answered if told[text] != 1] == []
    assert load.problems == []
    # A process that dies between claim and send leaves it open: that is said, and the message is not sent again.
    assert all(told[text] <= 1 for text in load.unknown)
    assert len(load.unknown) <= len(load.answered) / 20
    assert {job["status"] for job in ended.values()} == {"completed"}
    assert [text for text in load.jobs if told[text] != 1] == []
    assert letta.most_at_once == 1
    for number in range(CHATS):
        texts = [text for text in letta.texts if text.startswith(f"chat {number}: ")]
        assert texts == sorted(texts)
