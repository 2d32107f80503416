"""The log of a turn, and its readers. The turn writes at its own pace; each reader reads at its own.

Attaching, replaying, hang-ups and slow clients are all readers of this log; none of them can disturb the turn."""

import asyncio
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import cast

from domain.model.events import Ended, Failed, Reasoning, Text, ToolCall, TurnEvent

_LAST = (Ended, Failed)
MOST_AT_ONCE = 1000


class TurnLog:
    """An append-only list of turn events that can be waited on."""

    def __init__(self, events: Iterable[TurnEvent] = ()) -> None:
        self._list = list(events)
        self.events: Sequence[TurnEvent] = self._list
        self.ended = bool(self.events) and isinstance(self.events[-1], _LAST)
        self.ended_at = time.time() if self.ended else math.inf
        self.first_word_at: float | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def append(self, event: TurnEvent, at: float | None = None) -> None:
        """Add an event and wake every reader that waits. Nothing follows an `Ended` or a `Failed`.

        `at`: when it came, in seconds since 1970, if that was not now. Only the time of the end is kept."""
        if self.ended:
            return
        self._list.append(event)
        if self.first_word_at is None and isinstance(event, Text):
            self.first_word_at = time.time()
        elif isinstance(event, _LAST):
            self.ended, self.ended_at = True, at or time.time()
        if self._waiting:
            self.wake()

    def wake(self) -> None:
        """Have every reader that waits look again."""
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            _wake(change)

    def reader(self) -> "TurnReader":
        return TurnReader(self)

    def closed(self) -> "TurnLog":
        """The same log, ended: a tuple of events is nothing that the garbage collector has to look through."""
        closed = TurnLog()
        closed.events, closed.ended, closed.ended_at = tuple(self.events), True, self.ended_at
        return closed

    def folded(self) -> "TurnLog":
        """The same log with neighbouring pieces joined: what is kept of it takes little room."""
        folded = TurnLog(_folded(self.events))
        folded.ended_at = self.ended_at
        return folded

    def change(self) -> "asyncio.Future[None]":
        """Done as soon as something is appended."""
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(change)
        return change

    def ignore(self, change: "asyncio.Future[None]") -> None:
        """Nobody waits for this change any more."""
        if change in self._waiting:
            self._waiting.remove(change)


class TurnReader:
    """One answer's position in a log. Has to be closed."""

    def __init__(self, log: TurnLog) -> None:
        self.hung_up = False
        self._is_cut = False
        self._log = log
        self._position = 0
        self._change: asyncio.Future[None] | None = None
        self._until = math.inf
        self._rings_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    @property
    def finished(self) -> bool:
        """True when this reader has taken the last event that there will ever be, or has hung up, or was cut off."""
        return self.hung_up or self._is_cut or (self._log.ended and self._position == len(self._log.events))

    @property
    def ended_at(self) -> float:
        """When the log ended, in seconds since 1970; infinite before that."""
        return self._log.ended_at

    def hang_up(self) -> None:
        """Read no more; whoever waits in this reader is woken."""
        self.hung_up = True
        if self._change is not None:
            _wake(self._change)

    def cut(self) -> None:
        """Nothing more comes here: whoever reads has to read on elsewhere."""
        self._is_cut = True
        if self._change is not None:
            _wake(self._change)

    def close(self) -> None:
        """Whoever reads has left."""
        if self._timer is not None:
            self._timer.cancel()

    async def peek(self, until: float) -> TurnEvent | None:
        """The next event, which stays untaken; None if there is none `until` then (the event loop's time)."""
        await self._wait(until)
        events = self._log.events
        return events[self._position] if len(events) > self._position else None

    async def take(self, until: float = math.inf) -> Sequence[TurnEvent]:
        """The events since the last call, `MOST_AT_ONCE` at most, waiting for one; none if there is none `until` then.

        A client that has read nothing for long is served in pieces: nobody else waits while they are encoded."""
        if self.finished:
            return ()
        await self._wait(until)
        taken = self._log.events[self._position : self._position + MOST_AT_ONCE]
        self._position += len(taken)
        return taken

    async def _wait(self, until: float) -> None:
        if len(self._log.events) > self._position or self.hung_up or self._is_cut:
            return
        self._change = change = self._log.change()
        self._until = until
        # Tokens come one by one, long before any patience ends: one timer serves them all.
        if until < self._rings_at:
            self._set_timer(asyncio.get_running_loop())
        try:
            await change
        finally:
            self._log.ignore(change)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = self._until
        self._timer = loop.call_at(self._rings_at, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer, self._rings_at = None, math.inf
        if self._change is None or self._change.done():
            return
        if loop.time() >= self._until:
            _wake(self._change)
        elif self._until < math.inf:
            self._set_timer(loop)


def _wake(change: "asyncio.Future[None]") -> None:
    if not change.done():
        change.set_result(None)


def _folded(events: Sequence[TurnEvent]) -> list[TurnEvent]:
    folded: list[TurnEvent] = []
    for kind, run in groupby(events, type):
        if kind is Text:
            folded.append(Text("".join([event.text for event in cast("Iterator[Text]", run)])))
        elif kind is Reasoning:
            folded.append(Reasoning("".join([event.text for event in cast("Iterator[Reasoning]", run)])))
        elif kind is ToolCall:
            folded += _folded_calls(cast("Iterator[ToolCall]", run))
        else:
            folded += run
    return folded


def _folded_calls(pieces: Iterator[ToolCall]) -> Iterator[ToolCall]:
    for call_id, run in groupby(pieces, lambda piece: piece.call_id):
        first, *rest = run
        yield ToolCall(call_id, first.name, "".join([first.arguments, *[piece.arguments for piece in rest]]))
