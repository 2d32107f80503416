"""Runs the application: listens, and stops without cutting an answer off in mid-sentence."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Iterator
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import structlog
import uvicorn

try:
    import resource
except ImportError:  # Windows has no such limit.
    resource = None  # type: ignore[assignment]

from domain.services.responses import Responses
from domain.services.turn_reports import TurnReports
from domain.services.turns import Turns
from entrypoints.http.connection.guarded import Connection
from entrypoints.http.connection.limits import Connections, Limits
from entrypoints.signals import ending_signals
from entrypoints.start_error import CannotStartError

if TYPE_CHECKING:
    from litestar.types import ASGIApp

    from entrypoints.http.body.bodies import Bodies

# Enough for 10,000 streams, and then some.
FILES = 25_000
# Of these for what is open beside connections: the state, locks, pipes, notices of up to 64 workers, lists of agents,
# guests when there is no room.
_RESERVE = 128
# Seconds for answers to be written out once their turns have ended.
_LAST_WORDS = 5
_TICK, _IDLE_TICK = 0.1, 1.0

logger = structlog.get_logger("lettabot")


class Server(uvicorn.Server):
    """Uvicorn, with turns in mind. It inherits because that is how uvicorn lets itself be told about signals.

    `turns`: those that `app` may have begun, `responses`: those that may be followed, and `bodies` those that it reads;
    None as long as it cannot do that."""

    def __init__(self, app: "ASGIApp", turns: Turns | None, grace: float, limits: Limits | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._should_exit = False
        self._woken = asyncio.Event()
        self._connections = Connections(limits or Limits(files=_room()), self._woken.set)
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                # Else uvicorn reads WEB_CONCURRENCY, and fails if that is no number.
                workers=1,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
                http=cast("Any", partial(Connection, self._connections)),
                lifespan="off",
                timeout_graceful_shutdown=int(grace) + _LAST_WORDS,
            )
        )
        self.turns = turns
        self.responses: Responses | None = None
        self.bodies: Bodies | None = None
        self.turn_reports: TurnReports | None = None
        self._grace = grace
        self._in_a_hurry = asyncio.Event()
        self._was_hurried = False

    @property
    def requests(self) -> int:
        """How many there have ever been."""
        return self.server_state.total_requests

    @property
    def answers(self) -> int:
        """How many are under way."""
        return sum(cast("Connection", each).is_answering for each in self.server_state.connections)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting; let answers end; then let go of the turns that are left, which ends their answers."""
        if answers := self.answers:
            logger.info(
                "stopping; answers that are under way may end first, unless Ctrl-C comes again",
                answers=answers,
                seconds=self._grace,
            )
        if self.bodies is not None:
            self.bodies.drop_unfinished()
        if self.turn_reports is not None:
            self.turn_reports.close()
        self._connections.stop()
        helpers = [asyncio.create_task(each) for each in (self._let_go(), self._expire())]
        await super().shutdown(sockets)
        for helper in helpers:
            helper.cancel()
        await self._end_turns()

    @property
    def should_exit(self) -> bool:
        """Whether it is to stop, or has stopped."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._should_exit = value
        if value:
            # It may come when the loop has ended, and from another thread.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._woken.set)

    async def main_loop(self) -> None:
        """Ten times a second, as in uvicorn; once a second while nobody is connected: each time wakes a processor."""
        ticks = 0
        while not await self.on_tick(ticks):
            is_idle = not self.server_state.connections
            ticks = 0 if is_idle else ticks + 1
            self._woken.clear()
            if not self._should_exit:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_IDLE_TICK if is_idle else _TICK):
                        await self._woken.wait()

    async def on_tick(self, counter: int) -> bool:
        self._connections.expire(self._loop.time())
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal lets answers end; a second Ctrl-C ends them. What uvicorn does then cuts them off."""
        if self._was_hurried:
            # Signals that come faster than they are handled interrupt this very function, again and again.
            return
        if self.should_exit and sig == signal.SIGINT:
            self._was_hurried = True
            # It may come when the loop has ended.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._in_a_hurry.set)
        self.should_exit = True

    async def _expire(self) -> None:
        """While the server stops, there are no ticks."""
        while True:
            self._connections.expire(self._loop.time())
            await asyncio.sleep(_TICK)

    async def _let_go(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._in_a_hurry.wait(), self._grace)
        await self._end_turns()

    async def _end_turns(self) -> None:
        if self.responses is not None:
            self.responses.close()
        if self.turns is not None:
            await self.turns.shut_down()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Like uvicorn's, but a signal that ended the service in order is not raised again: the exit code is 0."""
        before = {sign: signal.signal(sign, self.handle_exit) for sign in ending_signals()}
        try:
            yield
        finally:
            for sign, handler in before.items():
                signal.signal(sign, handler)


def spare_garbage_collector() -> None:
    """Call it when everything is imported and wired.

    Turns leave no cycles behind, so the collector finds next to nothing; but to look through all that start-up has
    made, and through all turns that are kept for retries, it stopped every answer for up to 100 ms at a time."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def raise_file_limit() -> None:
    """A stream takes two open files: the client's connection, and Letta's. Many systems allow 1,024 unless asked."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < FILES:
        logger.info(
            "this system allows only so many open files at once (ulimit -n, or LimitNOFILE of systemd)",
            files=allowed,
            streams_at_once=_room() // 2,
        )


def _room() -> int:
    """How many files may be open for connections and for what they ask of the backend."""
    if resource is None:
        return FILES
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return FILES if soft == resource.RLIM_INFINITY else max(soft - _RESERVE, soft // 4)


def listen(
    host: str, port: int, elsewhere: str = "with --port, or another address with --host, or server.api in lettabot.yaml"
) -> socket.socket:
    """A listening socket, for IPv4, too, if the host is `::`; raises `CannotStartError`. `elsewhere`: how another port
    is chosen."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = found[0]
        both = address[0] == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=both)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "this is not a host name"
        raise CannotStartError(f"Cannot listen on {host}:{port}: {reason}. Choose another port {elsewhere}.") from error
