"""The port on which only metrics are told. Whoever asks there has no key, and gets nothing else."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from entrypoints.http.connection.guarded import Connection
from entrypoints.http.connection.limits import Connections, Limits

if TYPE_CHECKING:
    from litestar.types import ASGIApp

# Connections at once: nobody but a few scrapers is expected.
_FILES = 32
_LIMITS = Limits(files=_FILES, head=5.0, next=30.0, rest=2.0, reader=10.0, reader_at_least=2.0)


class MetricsServer(uvicorn.Server):
    """Beside the service, on the same loop; it leaves signals to that."""

    def __init__(self, app: "ASGIApp") -> None:
        self._connections = Connections(_LIMITS, lambda: None)
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                workers=1,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
                http=cast("Any", partial(Connection, self._connections)),
                lifespan="off",
                timeout_graceful_shutdown=1,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        self._connections.expire(asyncio.get_running_loop().time())
        return await super().on_tick(counter)


@contextlib.asynccontextmanager
async def serving_metrics(app: "ASGIApp", listener: socket.socket | None) -> AsyncIterator[None]:
    """On that socket, as long as the context lasts; None: nothing is served."""
    if listener is None:
        yield
        return
    server = MetricsServer(app)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
