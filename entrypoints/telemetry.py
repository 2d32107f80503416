"""What is told of the service to those who watch it from outside: metrics, and who hears of turns."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import TYPE_CHECKING

from adapters.prometheus.lazy import LazyMetrics
from domain.model.failures import FailureError
from domain.services.jobs import Jobs
from domain.services.readiness import Readiness
from domain.services.turns import Turns
from entrypoints.settings import Settings
from entrypoints.workers import WorkerContext

if TYPE_CHECKING:
    from adapters.prometheus.metrics import Facts
    from entrypoints.server import Server

# Seconds for which what all processes know alike is believed, between looks at the event loop, and at the process.
_FACTS_KEPT_FOR = 5.0
_SAMPLE_EVERY = 1.0
_SAMPLES_TO_MEASURE = 10


def metrics_of(settings: Settings, worker: WorkerContext | None) -> LazyMetrics | None:
    """None: the operator wants none."""
    if settings.metrics == "off":
        return None
    return LazyMetrics(version("lettabot"), worker.metrics_directory if worker is not None else "")


class Exposition:
    """All metrics as text. Whoever asks often, or at the same moment, makes nothing slower."""

    def __init__(self, metrics: LazyMetrics, turns: Turns, jobs: Jobs, readiness: Readiness) -> None:
        self._metrics = metrics
        self._turns = turns
        self._jobs = jobs
        self._readiness = readiness
        self._asking = asyncio.Lock()
        self._facts: Facts | None = None
        self._asked_at = 0.0

    async def text(self) -> bytes:
        """In Prometheus' format."""
        async with self._asking:
            await self._metrics.load()
            now = time.monotonic()
            if self._facts is None or now - self._asked_at >= _FACTS_KEPT_FOR:
                self._facts, self._asked_at = await self._ask(), now
            return await self._metrics.exposition(self._facts)

    async def _ask(self) -> "Facts":
        from adapters.prometheus.metrics import Facts

        backends = {state.name: state.failure is None for state in await self._readiness.states()}
        try:
            waiting = sum((await self._turns.queue_lengths()).values())
            jobs = {str(state): count for state, count in (await self._jobs.counts()).items()}
        except FailureError:
            # The errors of the state have a metric of their own.
            waiting, jobs = 0, {}
        oldest = self._jobs.oldest_open_at
        return Facts(waiting, jobs, 0.0 if oldest is None else max(0.0, time.time() - oldest), backends)


async def sample(metrics: LazyMetrics, server: "Server") -> None:
    """Look at the event loop and at the process, until it is cancelled."""
    loop, looks = asyncio.get_running_loop(), 0
    while True:
        due_at = loop.time() + _SAMPLE_EVERY
        await asyncio.sleep(_SAMPLE_EVERY)
        metrics.sampled(max(0.0, loop.time() - due_at), len(server.server_state.connections), server.answers)
        if looks % _SAMPLES_TO_MEASURE == 0 and (measured := await asyncio.to_thread(_measured)) is not None:
            metrics.measured(*measured)
        looks += 1


def _measured() -> tuple[int, int] | None:
    """Bytes of memory, and open files; None where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            pages = int(file.read().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd"))
    except OSError:
        return None


def metrics_text_of(settings: Settings, exposition: Exposition) -> Callable[[], Awaitable[bytes]] | None:
    """What /metrics tells on the service's own port. None: there is nothing of it there."""
    return exposition.text if settings.metrics == "key" else None
