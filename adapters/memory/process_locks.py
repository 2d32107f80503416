"""Locks for a process that is alone."""


class MemoryLocks:
    """`ports.ProcessLocks`."""

    suspect_after = 0.0

    def __init__(self) -> None:
        self._taken: set[str] = set()

    async def acquire(self, name: str) -> bool:
        if name in self._taken:
            return False
        self._taken.add(name)
        return True

    async def is_free(self, name: str) -> bool:
        return name not in self._taken

    async def release(self, name: str) -> None:
        self._taken.discard(name)

    async def close(self) -> None:
        self._taken.clear()
