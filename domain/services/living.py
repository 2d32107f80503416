"""Which of the processes that share the state are alive: each holds a lock of its own name."""

import time
from collections.abc import Callable

from ports.process_locks import ProcessLocks


class Living:
    """As far as locks can tell: one may seem free for a moment although its holder lives."""

    def __init__(self, locks: ProcessLocks, clock: Callable[[], float] = time.monotonic) -> None:
        self._locks = locks
        self._clock = clock
        # Of each lock that was free: since when it was, in looks that followed each other closely, and the last look.
        self._free: dict[str, tuple[float, float]] = {}

    async def is_dead(self, name: str) -> bool:
        """Whether the process of that name is gone for certain. Raises `BackendError`."""
        now = self._clock()
        if not await self._locks.take(name):
            self._free.pop(name, None)
            return False
        await self._locks.give_back(name)
        since, looked = self._free.get(name, (now, now))
        if now - looked > self._locks.lapses_for:
            since = now
        self._free[name] = since, now
        if now - since < self._locks.lapses_for:
            return False
        del self._free[name]
        return True
