"""Looks for tasks in the engine's queues: at once when somebody rings, and from time to time.

The engine itself would only look from time to time, and each look of each process costs milliseconds."""

import threading
from collections.abc import Sequence
from importlib import import_module
from typing import Any

# Seconds for which a look may take when the engine ends.
_PATIENCE = 10.0


class _Bell(threading.Event):
    """What the engine's loop waits for before each look: `set` ends it."""

    def __init__(self) -> None:
        super().__init__()
        self._woken = threading.Event()

    def ring(self) -> None:
        self._woken.set()

    def set(self) -> None:
        super().set()
        self._woken.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it is to end; returns sooner if somebody rings."""
        self._woken.wait(timeout)
        self._woken.clear()
        return self.is_set()


class QueuePoller:
    """One thread for each of these queues of a launched engine."""

    def __init__(self, engine: Any, queues: Sequence[Any]) -> None:
        # The engine has no public way to be told that there is something to do.
        work = import_module("dbos._queue").queue_worker_thread
        self._bells = [_Bell() for _ in queues]
        self._threads = [
            threading.Thread(target=work, args=(bell, engine, queue), name=f"queue-{queue.name}", daemon=True)
            for bell, queue in zip(self._bells, queues, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def ring(self) -> None:
        """There may be something to do."""
        for bell in self._bells:
            bell.ring()

    def stop(self) -> None:
        """Waits for the looks that are under way."""
        for bell in self._bells:
            bell.set()
        for thread in self._threads:
            thread.join(_PATIENCE)
