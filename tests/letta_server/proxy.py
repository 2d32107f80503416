"""A TCP proxy that stands between the service and Letta, so that a test can cut the connections between them."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Self
from urllib.parse import urlsplit


class Proxy:
    """Runs in a thread of its own. `cut` ends all connections that are open, as a broken network does."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 0)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: dict[tuple[asyncio.StreamWriter, asyncio.StreamWriter], None] = {}
        self._server: asyncio.Server | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._do(self._serve())}"
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def cut(self) -> None:
        self._do(self._cut())

    def cut_one(self) -> None:
        """The oldest of them."""
        self._do(self._cut(1))

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _serve(self) -> int:
        self._server = server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        assert isinstance(port, int)
        return port

    async def _end(self) -> None:
        """Nothing goes on any more: whoever connected may still be there, and come again."""
        if self._server is not None:
            self._server.close()
        await self._cut()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _cut(self, most: int | None = None) -> None:
        for pair in list(self._open)[:most]:
            for writer in pair:
                writer.transport.abort()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open[writer, there_writer] = None
        await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        del self._open[writer, there_writer]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
