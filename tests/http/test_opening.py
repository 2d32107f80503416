"""What is answered while the service is still starting."""

import asyncio
import json
from typing import Any

import pytest

from entrypoints.http.startup_app import StartupApp

pytestmark = pytest.mark.anyio


async def ask(app: Any, path: str) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app({"type": "http", "method": "GET", "path": path, "headers": []}, receive, send)
    return sent


async def real(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})


async def test_it_is_alive_at_once() -> None:
    start, body = await ask(StartupApp(), "/health")
    assert start["status"] == 200
    assert dict(start["headers"])[b"content-type"] == b"text/plain; charset=utf-8"
    assert body["body"] == b"ok"


async def test_everything_else_waits_and_is_answered_by_the_real_application() -> None:
    opening = StartupApp()
    waiting = [asyncio.create_task(ask(opening, path)) for path in ("/v1/models", "/health/ready")]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    opening.open(real)
    for [start] in await asyncio.gather(*waiting):
        assert start["status"] == 204
    [start] = await ask(opening, "/health")
    assert start["status"] == 204


async def test_those_who_wait_for_a_service_that_ends_before_it_has_begun_are_told_so() -> None:
    opening = StartupApp()
    waiting = asyncio.create_task(ask(opening, "/v1/models"))
    await asyncio.sleep(0)
    opening.give_up()
    start, body = await waiting
    assert start["status"] == 503
    assert (b"x-should-retry", b"true") in start["headers"]
    assert json.loads(body["body"])["error"]["code"] == "shutting_down"


async def test_an_open_service_is_not_given_up() -> None:
    opening = StartupApp()
    opening.open(real)
    opening.give_up()
    [start] = await ask(opening, "/v1/models")
    assert start["status"] == 204
