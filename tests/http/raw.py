"""Raw HTTP: a server whose application only notes what it is asked, and a client that sends whatever bytes it likes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from entrypoints.http.connection.limits import Limits
from entrypoints.server import Server, listen

PATIENCE = 20.0


class Asked(msgspec.Struct, frozen=True):
    """A request as the application saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Noting:
    """An application. `asked` are the requests that were whole; `gone` are the paths of those that were not.

    The path says how it answers: /slow when it is `let_go`, /stream without a length, /early before it has read the
    body, /large with ten megabytes in parts, /huge with twenty in one; all others with the number of the request."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.gone: list[str] = []
        self.let_go = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path, body, more = scope["path"], b"", True
        if path == "/early":
            await self._answer(send, b"early")
            return
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone.append(path)
                return
            body += message["body"]
            more = message["more_body"]
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        self.asked.append(Asked(scope["method"], path, headers, body))
        number = str(len(self.asked)).encode()
        if path == "/slow" and await self._hung_up(receive):
            self.gone.append(path)
        elif path == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for part in (b"one ", b"two ", b"three"):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif path == "/large":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(100):
                await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._answer(send, bytes(20_000_000) if path == "/huge" else number)

    async def _hung_up(self, receive: Any) -> bool:
        """Before it is let go."""
        leave, hang_up = asyncio.ensure_future(self.let_go.wait()), asyncio.ensure_future(receive())
        await asyncio.wait([leave, hang_up], return_when=asyncio.FIRST_COMPLETED)
        leave.cancel()
        hang_up.cancel()
        return not self.let_go.is_set()

    async def _answer(self, send: Any, body: bytes) -> None:
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    version: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = msgspec.json.decode(self.body)["error"]
        return error


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes) -> None:
        """Each part in a segment of its own."""
        for number, part in enumerate(parts):
            if number:
                await asyncio.sleep(0.02)
            self.writer.write(part)
            await self.writer.drain()

    async def ask(self, *parts: bytes) -> Answer:
        await self.send(*parts)
        return await self.answer()

    async def answer(self) -> Answer:
        """The next one; raises `EOFError` if none comes."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            version, status, *_ = head[0].split(" ")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            if status == "100":
                body = b""
            elif headers.get("transfer-encoding") == "chunked":
                body = b"".join([chunk async for chunk in self._chunks()])
            elif "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"]))
            else:
                body = await self.reader.read()
        return Answer(version, int(status), headers, body)

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)

    async def is_closed(self) -> bool:
        """Waits for the end; that nothing comes before it."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True

    def hang_up(self) -> None:
        self.writer.transport.abort()


class Place:
    """A running server."""

    def __init__(self, app: Noting, server: Server, port: int) -> None:
        self.app = app
        self.server = server
        self.port = port
        self._clients: list[Client] = []

    async def connect(self) -> Client:
        self._clients.append(Client(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self._clients[-1]

    def clear(self) -> None:
        for client in self._clients:
            client.hang_up()


@asynccontextmanager
async def noting_server(limits: Limits | None = None, grace: float = 1.0) -> AsyncIterator[Place]:
    app = Noting()
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = Server(app, None, grace, limits)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    place = Place(app, server, port)
    try:
        yield place
    finally:
        app.let_go.set()
        place.clear()
        server.should_exit = True
        await serving


async def come_true(look: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not look():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
