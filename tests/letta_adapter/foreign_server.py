"""Plays whatever may stand at Letta's address instead of Letta, on loopback: answers anything, and remembers it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

PAGE = b"<!doctype html><html><body><h1>Welcome</h1></body></html>"
HTML = {"content-type": "text/html; charset=utf-8"}
JSON = {"content-type": "application/json"}

Reply = tuple[int, Mapping[str, str], bytes]


class Stranger:
    """`asked` holds "METHOD /path" of each request, without the query."""

    def __init__(self, reply: Callable[[str, str], Reply]) -> None:
        self._reply = reply
        self.asked: list[str] = []
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Stranger"]:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        request, *lines = head.splitlines()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        await reader.readexactly(int(headers.get("content-length", 0)))
        method, target, _ = request.split(" ")
        path = target.partition("?")[0]
        self.asked.append(f"{method} {path}")
        status, more, body = self._reply(method, path)
        said = "".join(f"{name}: {value}\r\n" for name, value in more.items())
        length = "" if status == 304 else f"content-length: {len(body)}\r\n"
        writer.write(f"HTTP/1.1 {status} X\r\n{said}{length}connection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()
