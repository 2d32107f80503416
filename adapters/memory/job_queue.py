"""A job queue in memory: what is not done is forgotten with the process."""

import asyncio
from collections import deque

from ports.job_queue import Work


class MemoryJobQueue:
    """`ports.JobQueue`."""

    def __init__(self) -> None:
        self._work: Work | None = None
        self._lanes: dict[str, deque[str]] = {}
        self._tasks: set[str] = set()
        self._running: set[asyncio.Task[None]] = set()

    def serve(self, work: Work) -> None:
        self._work = work

    async def put(self, task: str, lane: str, aside: bool = False) -> None:
        if task in self._tasks:
            return
        self._tasks.add(task)
        if lane in self._lanes:
            self._lanes[lane].append(task)
            return
        self._lanes[lane] = deque([task])
        running = asyncio.create_task(self._drain(lane))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def close(self) -> None:
        for running in list(self._running):
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _drain(self, lane: str) -> None:
        assert self._work is not None  # noqa: S101
        waiting = self._lanes[lane]
        while waiting:
            if (pause := await self._work(waiting[0])) is not None:
                await asyncio.sleep(pause)
                continue
            self._tasks.discard(waiting.popleft())
        del self._lanes[lane]
