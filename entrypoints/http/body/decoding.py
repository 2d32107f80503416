"""Where bodies are decoded: small ones at once, large ones in threads of their own, for which nothing else waits."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# Bytes up to which decoding is a matter of some milliseconds at worst.
SMALL = 32_000
# Bytes from which it can take a second.
_HUGE = 2_000_000


class Decoding:
    """One large body is decoded at a time, and one huge one beside it."""

    def __init__(self) -> None:
        self._large = ThreadPoolExecutor(1, "large-body")
        self._huge = ThreadPoolExecutor(1, "huge-body")

    async def run(self, size: int, decode: Callable[[], T]) -> T:
        """What `decode` makes of a body of that size."""
        if size <= SMALL:
            return decode()
        threads = self._large if size <= _HUGE else self._huge
        return await asyncio.get_running_loop().run_in_executor(threads, decode)
