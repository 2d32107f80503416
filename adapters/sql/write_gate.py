"""Lets writers to one SQLite file in one after the other. SQLite's own waiting is unfair: it sleeps for longer and
longer while others, who come later, get in (1.7 s were measured among four busy processes)."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows cannot have several workers.
    fcntl = None  # type: ignore[assignment]

# Seconds between looks at whether another process has left.
_LOOK_EVERY = 0.002


class WriteGate:
    """`file`: a lock file for all processes; None if there are no others. After `patience` seconds whoever waits goes
    on, and SQLite says what is wrong."""

    def __init__(self, file: Path | None, patience: float) -> None:
        self._file = file
        self._patience = patience
        self._here = asyncio.Lock()
        self._descriptor: int | None = None

    @asynccontextmanager
    async def passed(self) -> AsyncIterator[None]:
        """Raises `OSError`."""
        async with self._here:
            if self._file is None:
                yield
                return
            if self._descriptor is None:
                self._descriptor = os.open(self._file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            give_up_at = time.monotonic() + self._patience
            while not _is_locked(self._descriptor) and time.monotonic() < give_up_at:  # noqa: ASYNC110
                await asyncio.sleep(random.uniform(0.5, 1.5) * _LOOK_EVERY)  # noqa: S311
            try:
                yield
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
