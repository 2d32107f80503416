"""The log of a turn, and its readers. The turn writes at its own pace; each reader reads at its own.

Attaching, replaying, hang-ups and slow clients are all readers of this log; none of them can disturb the turn."""

import asyncio
from collections.abc import Sequence

from domain.model.events import Ended, Failed, TurnEvent


class TurnLog:
    """An append-only list of turn events that can be waited on."""

    def __init__(self) -> None:
        self.events: list[TurnEvent] = []
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def ended(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], Ended | Failed)

    def append(self, event: TurnEvent) -> None:
        """Add an event and wake every reader that waits. Nothing follows an `Ended` or a `Failed`."""
        if self.ended:
            return
        self.events.append(event)
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for reader in waiting:
                if not reader.done():
                    reader.set_result(None)

    def reader(self) -> "TurnReader":
        return TurnReader(self)

    async def grown_beyond(self, position: int) -> None:
        """Return as soon as the log holds more than `position` events."""
        while len(self.events) <= position:
            change = asyncio.get_running_loop().create_future()
            self._waiting.append(change)
            try:
                await change
            finally:
                if not change.done():
                    change.cancel()
                if change in self._waiting:
                    self._waiting.remove(change)


class TurnReader:
    """One answer's position in a log."""

    def __init__(self, log: TurnLog) -> None:
        self._log = log
        self._position = 0

    @property
    def finished(self) -> bool:
        """True when this reader has taken the last event that there will ever be."""
        return self._log.ended and self._position == len(self._log.events)

    async def peek(self, patience: float) -> TurnEvent | None:
        """The next event, which stays untaken; None after `patience` seconds without one."""
        await self._wait(patience)
        events = self._log.events
        return events[self._position] if len(events) > self._position else None

    async def take(self, patience: float | None = None) -> Sequence[TurnEvent]:
        """All events since the last call, waiting for at least one; none after `patience` seconds of silence."""
        if self.finished:
            return ()
        await self._wait(patience)
        taken = self._log.events[self._position :]
        self._position += len(taken)
        return taken

    async def _wait(self, patience: float | None) -> None:
        if len(self._log.events) > self._position:
            return
        try:
            async with asyncio.timeout(patience):
                await self._log.grown_beyond(self._position)
        except TimeoutError:
            return
