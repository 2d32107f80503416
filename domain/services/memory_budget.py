"""MemoryBudget for large things: so many bytes at a time, first come, first served."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class MemoryBudget:
    """`size` in bytes. What is smaller than `small` needs no room; what is larger than all of it has it alone."""

    def __init__(self, size: int, small: int) -> None:
        self._size = size
        self._small = small
        self._free = size
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    @asynccontextmanager
    async def reserve(self, size: int) -> AsyncIterator[None]:
        """Wait until there is room for that many bytes, and keep it."""
        needed = 0 if size < self._small else min(size, self._size)
        await self._take(needed)
        try:
            yield
        finally:
            self._give_back(needed)

    async def _take(self, needed: int) -> None:
        if not needed or (not self._waiting and needed <= self._free):
            self._free -= needed
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, needed))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove((turn, needed))
                needed = 0
            self._give_back(needed)
            raise

    def _give_back(self, size: int) -> None:
        self._free += size
        while self._waiting and self._waiting[0][1] <= self._free:
            turn, needed = self._waiting.popleft()
            self._free -= needed
            turn.set_result(None)
