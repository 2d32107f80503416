"""A job queue in memory: what is not done is forgotten with the process."""

import asyncio
import logging
from collections import deque

from ports.job_queue import AFTER_MISTAKE, Work

logger = logging.getLogger(__name__)


class MemoryJobQueue:
    """`ports.JobQueue`."""

    def __init__(self) -> None:
        self._work: Work | None = None
        self._lanes: dict[tuple[str, bool], deque[str]] = {}
        self._tasks: set[str] = set()
        self._closed = False
        self._running: set[asyncio.Task[None]] = set()

    def serve(self, work: Work) -> None:
        self._work = work

    async def put(self, task: str, lane: str, background: bool = False) -> None:
        if task in self._tasks:
            return
        self._tasks.add(task)
        if (lane, background) in self._lanes:
            self._lanes[lane, background].append(task)
            return
        self._lanes[lane, background] = deque([task])
        running = asyncio.create_task(self._drain((lane, background)))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def recover(self) -> None:
        """All that it has is being done."""

    async def close(self) -> None:
        self._closed = True
        for running in list(self._running):
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _drain(self, lane: tuple[str, bool]) -> None:
        assert self._work is not None  # noqa: S101
        waiting = self._lanes[lane]
        while waiting:
            try:
                pause = await self._work(waiting[0])
            except (Exception, asyncio.CancelledError):
                if self._closed:
                    raise
                logger.exception("A task failed because of a bug in this service; it is started again")
                pause = AFTER_MISTAKE
            if pause is None:
                self._tasks.discard(waiting.popleft())
            else:
                await asyncio.sleep(pause)
        del self._lanes[lane]
