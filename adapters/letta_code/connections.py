"""The two sockets to the App Server. A run belongs to its connections: when the last one is gone, it is cancelled and
its conversation is stuck. So there are two, and one that is lost is made again at once."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from adapters.letta_code.failures import unavailable
from adapters.letta_code.frames import repeated_by
from adapters.letta_code.socket import AppServerSocket
from domain.model.failures import Failure, FailureError

# Seconds between tries to make a lost socket again.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
# How many pieces of answers are remembered, so that those of the other socket are dropped unread.
REMEMBERED = 5_000

logger = logging.getLogger(__name__)


class Connections:
    """`on_frame` gets each frame once or, if it is no numbered piece of an answer, once from each socket.
    `on_reopened` subscribes a new socket to what goes on. `on_all_lost`: nobody holds our runs any more."""

    def __init__(
        self,
        url: str,
        token: str | None,
        on_frame: Callable[[bytes], None],
        on_reopened: Callable[[AppServerSocket], Awaitable[None]],
        on_all_lost: Callable[[], None],
    ) -> None:
        self._url = url
        self._token = token
        self._on_frame = on_frame
        self._on_reopened = on_reopened
        self._on_all_lost = on_all_lost
        self._sockets: list[AppServerSocket] = []
        self._opening = asyncio.Lock()
        self._reopening: asyncio.Task[None] | None = None
        self._preparing = 0
        self._prepared = asyncio.Condition()
        self._seen: set[bytes] = set()
        self._seen_before: set[bytes] = set()
        self._is_closed = False
        self._opened_at = 0.0
        self._failure: Failure | None = None
        self._failed_at = 0.0
        self.generation = 0
        """Counts how often all sockets were opened anew."""

    async def both(self) -> tuple[AppServerSocket, AppServerSocket]:
        """The two, opened if need be. Raises `FailureError`."""
        asked_at = asyncio.get_running_loop().time()
        async with self._opening:
            if not self._sockets:
                if self._failure is not None and self._failed_at > asked_at:
                    # Others have tried meanwhile: who waits behind them need not try as long again.
                    raise FailureError(self._failure)
                await self._open_both()
            while len(self._sockets) < 2:
                await self._open_one_more()
            first, second = self._sockets
            return first, second

    async def settle(self, seconds: float) -> None:
        """Return when this generation is so old; the first one need not be."""
        if self.generation > 1:
            await asyncio.sleep(self._opened_at + seconds - asyncio.get_running_loop().time())

    @asynccontextmanager
    async def none_opens(self) -> AsyncIterator[None]:
        """While this lasts no socket is opened: it would have the server begin again with what a crash has left."""
        async with self._opening:
            self._preparing += 1
        try:
            yield
        finally:
            async with self._prepared:
                self._preparing -= 1
                self._prepared.notify_all()

    @property
    def open_sockets(self) -> list[AppServerSocket]:
        return [*self._sockets]

    async def close(self) -> None:
        self._is_closed = True
        if self._reopening is not None:
            self._reopening.cancel()
        for socket in self.open_sockets:
            await socket.close()

    async def _open_both(self) -> None:
        # Both before anything is said on either.
        try:
            first = await self._open()
        except FailureError as error:
            self._failure, self._failed_at = error.failure, asyncio.get_running_loop().time()
            raise
        try:
            second = await self._open()
        except FailureError:
            await first.close()
            raise
        self._sockets = [socket for socket in (first, second) if socket.is_open]
        self.generation += 1
        self._opened_at = asyncio.get_running_loop().time()
        self._seen, self._seen_before = set(), set()
        if not self._sockets:
            raise unavailable("Letta Code closes connections at once")

    async def _open_one_more(self) -> None:
        async with self._prepared:
            await self._prepared.wait_for(lambda: not self._preparing)
        socket = await self._open()
        if not self._sockets:
            # The other one was lost meanwhile, and all that it held.
            await socket.close()
            await self._open_both()
            return
        self._sockets.append(socket)
        await self._on_reopened(socket)

    async def _open(self) -> AppServerSocket:
        return await AppServerSocket.open(self._url, self._token, self._take, self._lost)

    def _take(self, socket: AppServerSocket, raw: bytes) -> None:
        if (key := repeated_by(raw)) is not None:
            if key in self._seen or key in self._seen_before:
                return
            self._seen.add(key)
            if len(self._seen) >= REMEMBERED:
                self._seen, self._seen_before = set(), self._seen
        self._on_frame(raw)

    def _lost(self, socket: AppServerSocket) -> None:
        if socket not in self._sockets:
            return
        self._sockets.remove(socket)
        if self._is_closed:
            return
        if not self._sockets:
            logger.warning("All connections to Letta Code were lost")
            self._on_all_lost()
        elif self._reopening is None or self._reopening.done():
            self._reopening = asyncio.create_task(self._reopen())

    async def _reopen(self) -> None:
        """Until there are two again, or none: then whoever needs them opens both."""
        pause = FIRST_PAUSE
        while self._sockets:
            try:
                await self.both()
            except FailureError:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return
