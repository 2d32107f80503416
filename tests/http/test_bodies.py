"""How bodies are read: all together, slowly, and when the service stops."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from litestar.types import HTTPRequestEvent, Receive

from entrypoints.http.api_errors import ApiError
from entrypoints.http.body import bodies
from entrypoints.http.body.bodies import Bodies
from entrypoints.settings.chat_options import ChatOptions
from tests.http.conftest import KEY, Service, Start, question

pytestmark = pytest.mark.anyio

LIMIT = 100_000
PATH = "/v1/chat/completions"


def head(size: int, more: str = "", path: str = PATH) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {size}\r\n{more}\r\n"
    ).encode()


@asynccontextmanager
async def connected(service: Service) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], dict[str, dict[str, str]]]:
    async with asyncio.timeout(10):
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        body = await reader.readexactly(int(headers["content-length"]))
    return int(lines[0].split()[1]), headers, json.loads(body)


def large(size: int) -> bytes:
    return json.dumps(question("hello", padding="x" * size)).encode()


@asynccontextmanager
async def unfinished(service: Service, count: int, size: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """So many clients have sent so many bytes of their bodies, and the rest is still to come."""
    clients = [connected(service) for _ in range(count)]
    streams = [await client.__aenter__() for client in clients]
    try:
        for _, writer in streams:
            writer.write(head(size + 1000) + b"x" * size)
        await _until(lambda: service.bodies.held >= count * size)
        yield [reader for reader, _ in streams]
    finally:
        for client in clients:
            await client.__aexit__(None, None, None)


async def _until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_all_bodies_together_have_a_limit(start: Start) -> None:
    service = await start(options=ChatOptions(max_body_bytes=LIMIT))
    async with unfinished(service, 4, LIMIT - 10_000):
        refused = await service.client.post(
            PATH, content=large(LIMIT - 10_000), headers={"Content-Type": "application/json"}
        )
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "too_many_bodies"
        assert (refused.headers["retry-after"], refused.headers["x-should-retry"]) == ("5", "true")
        # What is small finds a place.
        assert (await service.chat()).status_code == 200
    await _until(lambda: not service.bodies.held)
    assert (await service.chat(padding="x" * (LIMIT - 10_000))).status_code == 200
    assert len(service.gateway.delivered) == 2


async def test_a_body_that_was_refused_in_the_middle_takes_no_room(start: Start) -> None:
    service = await start(options=ChatOptions(max_body_bytes=LIMIT))
    async with unfinished(service, 4, LIMIT - 10_000), connected(service) as (reader, writer):
        held = service.bodies.held
        parts = [large(60_000)[:40_000], large(60_000)[40_000:]]
        writer.write(head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
        for part in parts:
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await writer.drain()
            await asyncio.sleep(0.05)
            assert service.bodies.held <= held + 40_000
        writer.write(b"0\r\n\r\n")
        assert (await answer(reader))[0] == 503
        assert service.bodies.held == held


async def test_what_was_decoded_is_let_go(service: Service) -> None:
    for text in ("hello", "x" * 100_000, "x" * 3_000_000):
        assert (await service.chat(text)).status_code == 200
    for body in (b"{", b"[" * 300_000):
        refused = await service.client.post(PATH, content=body, headers={"Content-Type": "application/json"})
        assert refused.status_code == 400
    assert service.bodies.held == 0


@pytest.mark.parametrize(("size", "status"), [(LIMIT + 1, 413), (LIMIT - 10_000, 503)])
async def test_who_asks_first_is_refused_before_the_body(start: Start, size: int, status: int) -> None:
    service = await start(options=ChatOptions(max_body_bytes=LIMIT))
    async with unfinished(service, 4, LIMIT - 10_000), connected(service) as (reader, writer):
        writer.write(head(size, "Expect: 100-continue\r\n"))
        refused, headers, _ = await answer(reader)
        assert (refused, headers["connection"]) == (status, "close")


async def test_who_asks_first_may_send_what_there_is_room_for(service: Service) -> None:
    async with connected(service) as (reader, writer):
        body = large(10)
        writer.write(head(len(body), "Expect: 100-continue\r\n"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(body)
        assert (await answer(reader))[0] == 200


@pytest.mark.parametrize("path", [PATH, "/api/v1/chat", "/api/v1/chat/async"])
async def test_a_body_that_does_not_go_on_is_not_waited_for(
    service: Service, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(bodies, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(bodies, "STALLED_AFTER", 0.2)
    async with connected(service) as (reader, writer):
        writer.write(head(100, path=path) + b'{"messages"')
        status, headers, body = await answer(reader)
        assert (status, headers["x-should-retry"], headers["connection"]) == (408, "true", "close")
        assert "slowly" in str(body["error"])
    assert service.bodies.held == 0


async def test_a_body_that_comes_too_slowly_is_not_waited_for(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(bodies, "PACE_WITHIN", 0.4)
    async with connected(service) as (reader, writer):
        writer.write(head(1000))
        answered = asyncio.create_task(answer(reader))
        while not answered.done():
            writer.write(b"{")
            await asyncio.sleep(0.05)
        status, _, body = await answered
        assert (status, body["error"]["code"]) == (408, "request_timeout")


async def test_a_large_body_may_take_its_time(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(bodies, "PACE_WITHIN", 2.0)
    monkeypatch.setattr(bodies, "PACE", 1000)
    body = large(6000)
    async with connected(service) as (reader, writer):
        writer.write(head(len(body)))
        for start in range(0, len(body), 300):
            writer.write(body[start : start + 300])
            await asyncio.sleep(0.15)
        assert (await answer(reader))[0] == 200


async def test_an_unfinished_body_does_not_hold_up_the_end(start: Start) -> None:
    service = await start(grace=20.0)
    async with unfinished(service, 1, 1000) as [reader]:
        service.server.should_exit = True
        status, headers, body = await answer(reader)
        assert (status, headers["x-should-retry"], headers["connection"]) == (503, "true", "close")
        assert body["error"]["code"] == "shutting_down"


async def test_whoever_comes_late_is_not_waited_for() -> None:
    service = Bodies(LIMIT)
    service.drop_unfinished()
    assert (await service.read(JSON, receiving(b"{}"))).take() == b"{}"
    with pytest.raises(ApiError) as raised:
        await service.read(JSON, receiving(b"{", more=True))
    assert raised.value.status == 503


JSON = {b"content-type": b"application/json"}


def receiving(body: bytes, more: bool = False) -> Receive:
    messages = iter([HTTPRequestEvent(type="http.request", body=body, more_body=more)])

    async def receive() -> HTTPRequestEvent:
        for message in messages:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    return receive


@pytest.mark.parametrize("encoding", ["", "identity", "Identity", "identity, identity"])
async def test_no_encoding_can_be_written_in_several_ways(service: Service, encoding: str) -> None:
    answered = await service.client.post(PATH, json=question(), headers={"Content-Encoding": encoding})
    assert answered.status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
async def test_an_encoding_is_refused(service: Service, encoding: str) -> None:
    answered = await service.client.post(PATH, json=question(), headers={"Content-Encoding": encoding})
    assert answered.status_code == 415
    assert "Content-Encoding" in answered.json()["error"]["message"]
