"""Turns of all processes are seen and stopped from any of them; those of a process that was killed are lost."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.postgres.server import PostgresServer
from tests.state.letta import CountingLetta
from tests.state.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.state]


@pytest.fixture
def letta() -> Iterator[CountingLetta]:
    letta = CountingLetta(redis=False, thinks=60.0)
    letta.start()
    yield letta
    letta.stop()


@pytest.fixture(params=["3 workers", "2 replicas"])
def services(
    request: pytest.FixtureRequest, tmp_path: Path, letta: CountingLetta, postgres: PostgresServer
) -> Iterator[list[Service]]:
    is_alone = request.param == "3 workers"
    state = "" if is_alone else postgres.new_database()
    services = [Service(tmp_path, letta.url, state, name) for name in (["one"] if is_alone else ["one", "two"])]
    with ExitStack() as stack:
        for service in services:
            service.launch(("--workers", "3") if is_alone else ())
            stack.callback(service.stop)
        for service in services:
            service.wait()
        yield services


async def until(
    clients: list[httpx.AsyncClient], is_so: Callable[[dict[str, Any]], bool], seconds: float = 90
) -> dict[str, Any]:
    """The turn of which all clients have been told that."""
    async with asyncio.timeout(seconds):
        while True:
            answers = [await client.get("/api/v1/turns") for client in clients]
            found = [[turn for turn in answer.json()["turns"] if is_so(turn)] for answer in answers]
            if all(found):
                turn: dict[str, Any] = found[0][0]
                return turn
            await asyncio.sleep(0.2)


async def test_a_turn_is_seen_and_stopped_from_every_process(services: list[Service], letta: CountingLetta) -> None:
    headers = {"Authorization": f"Bearer {services[0].key}"}
    async with httpx.AsyncClient(base_url=services[0].url, headers=headers, timeout=90) as asking:
        body = {"model": "anna", "messages": [{"role": "user", "content": "think"}]}
        answer = asyncio.create_task(asking.post("/v1/chat/completions", json=body))
        clients = [
            httpx.AsyncClient(base_url=service.url, headers=headers, timeout=30) for service in services for _ in "1234"
        ]
        turn = await until(clients, lambda turn: turn["state"] == "running")
        stopped = await clients[-1].delete(f"/api/v1/turns/{turn['id']}")
        assert stopped.status_code == 202, stopped.text
        ended = await answer
        assert ended.json()["error"]["code"] == "cancelled"
        again = await until(clients, lambda turn: turn["outcome"] == "stopped")
        assert again["id"] == turn["id"]
        for client in clients:
            await client.aclose()


async def test_the_turn_of_a_killed_process_is_lost(services: list[Service]) -> None:
    headers = {"Authorization": f"Bearer {services[0].key}"}
    async with httpx.AsyncClient(base_url=services[0].url, headers=headers, timeout=90) as asking:
        body = {"model": "anna", "messages": [{"role": "user", "content": "think"}]}
        answer = asyncio.create_task(asking.post("/v1/chat/completions", json=body))
        async with httpx.AsyncClient(base_url=services[-1].url, headers=headers, timeout=30) as client:
            turn = await until([client], lambda turn: turn["state"] == "running")
            # Perhaps its own process has told that; the others are told once a second.
            await asyncio.sleep(5)
            if len(services) == 1:
                for pid in services[0].workers:
                    os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(2)
            else:
                services[0].kill()
            with pytest.raises(httpx.HTTPError):
                await answer
            lost = await until([client], lambda turn: turn["state"] == "lost")
            assert lost["id"] == turn["id"]
            assert (await client.delete(f"/api/v1/turns/{turn['id']}")).status_code == 409
