"""Which of the processes that share the state are alive: each holds a lock of its own name."""

import time
from collections.abc import Callable

from domain.model.failures import FailureError
from ports.process_locks import ProcessLocks

# Seconds. Looks that are further apart say nothing about the time between them.
_CLOSE = 10.0


class Liveness:
    """As far as locks can tell: one may be free for a moment although its holder lives."""

    def __init__(self, locks: ProcessLocks, clock: Callable[[], float] = time.monotonic) -> None:
        self._locks = locks
        self._clock = clock
        # Of each lock that is free: since when it is, and the last look.
        self._free: dict[str, tuple[float, float]] = {}

    async def is_dead(self, name: str) -> bool:
        """Whether the process of that name is gone for certain. Raises `FailureError`."""
        try:
            is_free = await self._locks.is_free(name)
        except FailureError:
            # Nobody knows what has been in the meantime.
            self._free.clear()
            raise
        if not is_free:
            self._free.pop(name, None)
            return False
        now = self._clock()
        self._free = {other: seen for other, seen in self._free.items() if now - seen[1] <= _CLOSE}
        since, _ = self._free.get(name, (now, now))
        self._free[name] = since, now
        return now - since >= self._locks.suspect_after
