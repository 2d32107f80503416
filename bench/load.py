"""The load generator: keep-alive connections as raw protocols, which count bytes and decode nothing."""

import asyncio
import re
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import cast

import msgspec

_EVENT = b"data: "
_WORD = re.compile(rb"w(\d+)@(\d+\.\d{6}) ")
# Whatever is looked for in a stream may be split by the network: this many bytes are looked at again.
_OVERLAP = 64
# Seconds after which something must be broken.
_PATIENCE = 120.0


class Call(msgspec.Struct, frozen=True):
    """A request as bytes, all headers included, so that nothing is put together while the clock runs."""

    data: bytes


def call(path: str, body: bytes = b"", headers: Sequence[str] = ()) -> Call:
    """A POST if there is a body, otherwise a GET."""
    lines = [
        f"{'POST' if body else 'GET'} {path} HTTP/1.1",
        "host: bench",
        *headers,
        *(["content-type: application/json", f"content-length: {len(body)}"] if body else []),
    ]
    return Call("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


class Words:
    """Which words of one answer have come, and how late they were."""

    def __init__(self) -> None:
        self.lateness: list[float] = []
        self.in_order = True
        self._rest = b""

    def feed(self, data: bytes) -> None:
        now = time.monotonic()
        data = self._rest + data
        end = 0
        for found in _WORD.finditer(data):
            self.in_order &= int(found[1]) == len(self.lateness)
            self.lateness.append(now - float(found[2]))
            end = found.end()
        self._rest = data[max(end, len(data) - _OVERLAP) :]


class Connection(asyncio.Protocol):
    """One request after the other; `events` are those of the answer so far. `words` are looked at if they are set."""

    def __init__(self) -> None:
        self.status = 0
        self.events = 0
        self.words: Words | None = None
        self.first_word_at = 0.0
        self._tail = b""
        self._head: bytes | None = b""
        self._left: int | None = None
        self._whole: asyncio.Future[None] | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._whole is not None and not self._whole.done():
            self._whole.set_exception(ConnectionError("the server closed the connection in mid-answer"))

    async def ask(self, request: Call) -> None:
        """Returns at the end of the answer. Raises `ConnectionError` if there is none, or it is none of success."""
        self._head, self._left, self._tail = b"", None, b""
        self.events = 0
        self.first_word_at = 0.0
        self._whole = asyncio.get_running_loop().create_future()
        self.transport.write(request.data)
        await self._whole
        if self.status != 200:
            raise ConnectionError(f"the server answered with status {self.status}")

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = None
            self.status = int(head[9:12])
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            self._left = int(length[1]) if length else None
        if self._left is not None:
            self._left -= len(data)
            over = self._left <= 0
        else:
            seen = self._tail + data
            self.events += seen.count(_EVENT) - self._tail.count(_EVENT)
            if not self.first_word_at and b"w0@" in seen:
                self.first_word_at = time.perf_counter()
            if self.words is not None:
                self.words.feed(data)
            self._tail = seen[-_OVERLAP:]
            over = self._tail.endswith(b"\r\n0\r\n\r\n")
        if over and self._whole is not None and not self._whole.done():
            self._whole.set_result(None)


class Load(msgspec.Struct, frozen=True):
    """What was done in `seconds`."""

    seconds: float
    requests: int
    events: int = 0


Address = tuple[str, int]
"""A host and a port."""


async def connect(address: Address) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, *address)
    return connection


async def load(address: Address, connections: int, rounds: int, request: Callable[[int], Call]) -> Load:
    """`rounds` requests on each connection; `request` gives the one of a number, before the clock runs."""
    opened = await _open(address, connections)
    lots = [[request(line * rounds + turn) for turn in range(rounds)] for line in range(connections)]
    events = 0

    async def ask_all(connection: Connection, lot: Iterable[Call]) -> None:
        nonlocal events
        for each in lot:
            await connection.ask(each)
            events += connection.events

    began = time.perf_counter()
    async with asyncio.timeout(_PATIENCE):
        await asyncio.gather(*map(ask_all, opened, lots))
    seconds = time.perf_counter() - began
    _close(opened)
    return Load(seconds, connections * rounds, events)


async def first_words(address: Address, rounds: int, request: Callable[[int], Call]) -> float:
    """Median seconds from a request to its first word, on one connection."""
    connection = await connect(address)
    taken: list[float] = []
    for number in range(rounds):
        began = time.perf_counter()
        await connection.ask(request(number))
        taken.append(connection.first_word_at - began)
    _close([connection])
    return median(taken)


class Slow(msgspec.Struct, frozen=True):
    """What became of many slow streams. `lateness` in seconds, of every word, sorted."""

    whole: int
    lateness: list[float]


async def slow_streams(
    address: Address,
    streams: int,
    chunks: int,
    request: Callable[[int], Call],
    ramp: float,
    halfway: Callable[[], None],
) -> Slow:
    """All at once, begun over `ramp` seconds. `halfway` is called when all have begun and none has ended."""
    opened = await _open(address, streams)

    async def ask(number: int, connection: Connection) -> Words:
        await asyncio.sleep(ramp * number / streams)
        connection.words = words = Words()
        await connection.ask(request(number))
        return words

    loop = asyncio.get_running_loop()
    timer = loop.call_later(ramp + 2, halfway)
    heard = await asyncio.gather(*(ask(number, each) for number, each in enumerate(opened)), return_exceptions=True)
    timer.cancel()
    _close(opened)
    whole = [words for words in heard if isinstance(words, Words)]
    return Slow(
        sum(words.in_order and len(words.lateness) == chunks for words in whole),
        sorted(late for words in whole for late in words.lateness),
    )


async def _open(address: Address, connections: int) -> list[Connection]:
    opened: list[Connection] = []
    # Not all at once: the queue of connections that a server has not yet accepted is short.
    while len(opened) < connections:
        some = min(100, connections - len(opened))
        opened += await asyncio.gather(*(connect(address) for _ in range(some)))
    return opened


def _close(connections: Iterable[Connection]) -> None:
    for connection in connections:
        connection.transport.close()
