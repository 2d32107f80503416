"""Metrics before prometheus-client is imported: what happens until then is kept, and counted when it is there."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from domain.model.agent import Agent
from domain.model.turn_report import TurnReport
from ports.turn_observer import PreventionRule

if TYPE_CHECKING:
    from adapters.prometheus.metrics import Facts, PrometheusMetrics

# What is kept at most. Beyond that the oldest are not counted: there was no quiet moment, and nobody has asked.
_MOST = 20_000
_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class LazyMetrics:
    """`ports.ServiceObserver`. `directory`: as in `PrometheusMetrics`."""

    def __init__(self, version: str, directory: str = "") -> None:
        self._version = version
        self._directory = directory
        self._loading = asyncio.Lock()
        self._metrics: PrometheusMetrics | None = None
        self._before: deque[Callable[[PrometheusMetrics], None]] = deque(maxlen=_MOST)

    async def load(self) -> "PrometheusMetrics":
        """The metrics, with all that has happened before."""
        async with self._loading:
            if self._metrics is None:
                module = await asyncio.to_thread(import_prometheus, self._directory)
                metrics: PrometheusMetrics = module.PrometheusMetrics(self._version, self._directory)
                while self._before:
                    self._before.popleft()(metrics)
                self._metrics = metrics
            return self._metrics

    async def exposition(self, facts: "Facts") -> bytes:
        """See `PrometheusMetrics`."""
        metrics = await self.load()
        return await asyncio.to_thread(metrics.exposition, facts)

    @contextmanager
    def began(self, turn: TurnReport) -> Iterator[None]:
        def count(metrics: "PrometheusMetrics") -> None:
            with metrics.began(turn):
                pass

        self._tell(count)
        yield

    def accepted(self, agent: Agent) -> None:
        self._tell(lambda metrics: metrics.accepted(agent))

    def ended(self, turn: TurnReport) -> None:
        self._tell(lambda metrics: metrics.ended(turn))

    def prevented(self, rule: PreventionRule, turn_id: str) -> None:
        self._tell(lambda metrics: metrics.prevented(rule, turn_id))

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        if self._metrics is not None:
            self._metrics.answered(method, route, status, seconds)
        else:
            self._before.append(lambda metrics: metrics.answered(method, route, status, seconds))

    def asked_state(self, seconds: float, is_well: bool) -> None:
        self._tell(lambda metrics: metrics.asked_state(seconds, is_well))

    def sampled(self, lag: float, connections: int, answers: int) -> None:
        if self._metrics is not None:
            self._metrics.sampled(lag, connections, answers)

    def measured(self, memory: int, files: int) -> None:
        self._tell(lambda metrics: metrics.measured(memory, files))

    def _tell(self, count: "Callable[[PrometheusMetrics], None]") -> None:
        if self._metrics is not None:
            count(self._metrics)
        else:
            self._before.append(count)


def import_prometheus(directory: str) -> ModuleType:
    """The module of the metrics. prometheus-client decides when it is imported whether processes share values."""
    if directory:
        os.environ[_VARIABLE] = directory
    else:
        os.environ.pop(_VARIABLE, None)
    return import_module("adapters.prometheus.metrics")
