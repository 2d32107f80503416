"""All open connections: for what each of them waits, for how long it may, and whether there is room for one more."""

from collections.abc import Callable
from enum import Enum, auto
from itertools import takewhile
from typing import Protocol

import msgspec

# Connections beyond what there is room for. If none makes way for what they ask, only their health checks are answered.
_GUESTS = 16


class Wait(Enum):
    """What a connection waits for, while no request is under way on it. The first is what is missed least."""

    REST = auto()
    """The end of a request that nobody reads any more, because it is answered already."""
    NEXT = auto()
    """Another request."""
    HEAD = auto()
    """The end of the head that has begun, or the first one."""


class Limits(msgspec.Struct, frozen=True):
    """What one connection, and all of them together, may take up. Times are in seconds."""

    files: int = 10_000
    """How many may be open for connections and for what the requests on them ask of the backend."""
    head_bytes: int = 65_536
    """Of a request line and its headers."""
    head: float = 15.0
    """For a head to come."""
    # Clients keep connections in pools, and do not repeat a POST on one that has just been closed.
    next: float = 75.0
    """Between requests."""
    rest: float = 30.0
    """For what nobody reads any more."""
    reader: float = 120.0
    """For a client that takes no byte of its answer."""
    reader_at_least: float = 5.0
    """The same, if others need the room or the server stops."""


class Client(Protocol):
    """A connection, as it is seen from here."""

    def time_is_up(self, wait: Wait) -> None:
        """It has waited for long enough."""
        ...

    def has_read_on(self) -> bool:
        """Whether its client has taken some of its answer since the last time that this was asked."""
        ...

    def make_way(self) -> None:
        """For another one. What has been said already may still be read."""
        ...

    def abort(self) -> None:
        """Nobody reads what it says."""
        ...


class Connections:
    """Of one process. Everything is in order of time, so that who has waited for too long is found at the front, and
    nothing needs a timer of its own. `now` is the time of the event loop."""

    def __init__(self, limits: Limits, when_used: Callable[[], None] = lambda: None) -> None:
        """`when_used`: called when somebody connects, and nobody was connected."""
        self.limits = limits
        self._when_used = when_used
        self._open: set[Client] = set()
        self._waiting: dict[Wait, dict[Client, float]] = {wait: {} for wait in Wait}
        self._reading: dict[Client, float] = {}
        # Those that have made way, and have not read what was said before.
        self._leaving: set[Client] = set()
        self._stopping = False

    def enter(self, client: Client, now: float) -> None:
        """A new one, which waits for its first head."""
        if not self._open:
            self._when_used()
        self._open.add(client)
        self._waiting[Wait.HEAD][client] = now
        limit = self.limits.files
        has_room = self._files() <= limit or self._make_room(Wait.REST, Wait.NEXT)
        if not has_room and self._files() > limit + min(_GUESTS, limit // 2) and not self._abort_stuck(now):
            self._make_room(Wait.HEAD)

    def leave(self, client: Client) -> None:
        self._open.discard(client)
        self._leaving.discard(client)
        self._reading.pop(client, None)
        for waiting in self._waiting.values():
            waiting.pop(client, None)

    def waits(self, client: Client, wait: Wait, now: float) -> None:
        self.serves(client)
        self._waiting[wait][client] = now

    def serves(self, client: Client) -> None:
        """A request is under way; it waits for nothing."""
        for waiting in self._waiting.values():
            waiting.pop(client, None)

    def has_room(self, now: float) -> bool:
        """For a request that has just begun."""
        # Mostly it is enough to count connections, as if all were busy.
        limit = self.limits.files
        if 2 * len(self._open) + len(self._leaving) <= limit:
            return True
        while self._files() > limit:
            if not (self._make_room(*Wait) or self._abort_stuck(now)):
                return False
        return True

    def reads(self, client: Client, now: float) -> None:
        """Some of its answer is still to be read by the client."""
        self.has_read(client)
        self._reading[client] = now
        if client not in self._open:
            self._leaving.add(client)

    def has_read(self, client: Client) -> None:
        self._reading.pop(client, None)

    def stop(self) -> None:
        """From now on nobody is waited for longer than need be."""
        self._stopping = True

    def expire(self, now: float) -> None:
        """Ends what has taken too long."""
        limits = self.limits
        for wait, seconds in ((Wait.HEAD, limits.head), (Wait.NEXT, limits.next), (Wait.REST, limits.rest)):
            for client in _older(self._waiting[wait], now - seconds):
                client.time_is_up(wait)
        reader = limits.reader_at_least if self._stopping else limits.reader
        for client in _older(self._reading, now - reader):
            self._abort_if_stuck(client, now)

    def _files(self) -> int:
        """One for each connection, and one more for what each request asks of the backend."""
        return 2 * len(self._open) - sum(map(len, self._waiting.values())) + len(self._leaving)

    def _make_room(self, *waits: Wait) -> bool:
        """Takes it from the one that has waited longest for the first of these that any waits for."""
        for waiting in map(self._waiting.__getitem__, waits):
            for client in waiting:
                self.leave(client)
                client.make_way()
                return True
        return False

    def _abort_stuck(self, now: float) -> bool:
        """One that takes nothing of its answer, if there is one."""
        stuck = _older(self._reading, now - self.limits.reader_at_least)
        return any(self._abort_if_stuck(client, now) for client in stuck)

    def _abort_if_stuck(self, client: Client, now: float) -> bool:
        if client.has_read_on():
            self.reads(client, now)
            return False
        self.leave(client)
        client.abort()
        return True


def _older(waiting: dict[Client, float], than: float) -> list[Client]:
    return [client for client, _ in takewhile(lambda entry: entry[1] <= than, waiting.items())]
