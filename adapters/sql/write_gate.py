"""Lets writers to one SQLite file in one after the other. SQLite's own waiting is unfair: it sleeps for longer and
longer while others, who come later, get in (1.7 s were measured among four busy processes)."""

import asyncio
import os
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows cannot have several workers.
    fcntl = None  # type: ignore[assignment]

# Seconds between looks at whether another process has left.
_LOOK_EVERY = 0.001


class WriteGate:
    """`file`: a lock file for all processes; None if there are no others. After `patience` seconds whoever waits goes
    on, and SQLite says what is wrong."""

    def __init__(self, file: Path | None, patience: float) -> None:
        self._file = file
        self._patience = patience
        # Between the threads of this process.
        self._lock = threading.Lock()
        self._descriptor: int | None = None

    @asynccontextmanager
    async def passed(self) -> AsyncIterator[None]:
        """For the event loop. Raises `OSError`."""
        give_up_at = time.monotonic() + self._patience
        while not (is_held := self._enter()) and time.monotonic() < give_up_at:  # noqa: ASYNC110
            await asyncio.sleep(_pause())
        try:
            yield
        finally:
            if is_held:
                self._leave()

    @contextmanager
    def held(self) -> Iterator[None]:
        """For a thread. Raises `OSError`."""
        give_up_at = time.monotonic() + self._patience
        while not (is_held := self._enter()) and time.monotonic() < give_up_at:
            time.sleep(_pause())
        try:
            yield
        finally:
            if is_held:
                self._leave()

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _enter(self) -> bool:
        if not self._lock.acquire(blocking=False):
            return False
        is_in = False
        try:
            is_in = not self._is_others()
        finally:
            if not is_in:
                self._lock.release()
        return is_in

    def _is_others(self) -> bool:
        """Whether another process is in; if not, this one is."""
        if self._file is None:
            return False
        if self._descriptor is None:
            self._descriptor = os.open(self._file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False

    def _leave(self) -> None:
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._lock.release()


def _pause() -> float:
    return random.uniform(0.5, 1.5) * _LOOK_EVERY  # noqa: S311
