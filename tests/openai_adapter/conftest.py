"""A server with OpenAI's API in this process: a scripted model, or one that answers as it is told."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from entrypoints.server import listen
from tests.letta_server.stub_llm import StubModel


class Model:
    """`asked`: what it was sent."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self._log = log

    @property
    def asked(self) -> list[list[dict[str, Any]]]:
        return [json.loads(line)["messages"] for line in self._log.read_text().splitlines()]


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await task


@pytest.fixture
async def model(tmp_path: Path) -> AsyncIterator[Model]:
    log = tmp_path / "asked.jsonl"
    log.touch()
    async with serving(StubModel(log)) as url:
        yield Model(url, log)


class Foreign:
    """Answers each request with these bytes, or breaks off after them; and remembers the requests."""

    def __init__(self) -> None:
        self.answer = b""
        self.requests: list[bytes] = []
        self.url = ""

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next((line for line in head.lower().splitlines() if line.startswith(b"content-length")), b":0")
            self.requests.append(head + await reader.readexactly(int(length.partition(b":")[2])))
            writer.write(self.answer)
            await writer.drain()
        finally:
            writer.close()


@pytest.fixture
async def foreign() -> AsyncIterator[Foreign]:
    foreign = Foreign()
    server = await asyncio.start_server(foreign.connection, "127.0.0.1", 0)
    foreign.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield foreign
    server.close()


Answer = Callable[[str], bytes]


def answer(status: str, body: str = "{}", content_type: str = "application/json", headers: str = "") -> bytes:
    """A whole HTTP answer."""
    data = body.encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\n{headers}connection: close\r\n"
    return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data


def stream(*chunks: str, cut: bool = False) -> bytes:
    """A streamed answer, which lacks its end if it is cut."""
    data = "".join(f"data: {chunk}\n\n" for chunk in chunks).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n"
    return head + f"content-length: {len(data) + cut}\r\n\r\n".encode() + data
