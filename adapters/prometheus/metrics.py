"""The metrics themselves, through prometheus-client. Labels are bounded: nothing that a client chooses is one."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from domain.model.agent import Agent
from domain.model.turn_report import TurnReport
from ports.turn_observer import PreventionRule

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Different agents that have metrics of their own; the others are one.
_MOST_AGENTS = 100
_OTHER = "other"
_TO_ANSWER = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
_OF_STATE = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)


class Facts(msgspec.Struct, frozen=True):
    """What all processes know alike, when somebody asks. Times are in seconds."""

    waiting: int
    jobs: Mapping[str, int]
    """By state."""
    oldest_open_job: float
    backends: Mapping[str, bool]
    """By name: whether it is up."""


class PrometheusMetrics:
    """`ports.ServiceObserver`. `directory`: where the workers of one service keep their values; empty: it has none."""

    def __init__(self, version: str, directory: str = "") -> None:
        # The times at which values were first counted are of no use to anybody here.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._version = version
        self._directory = directory
        self._registry = registry = CollectorRegistry()
        self._agents: dict[str, str] = {}
        self._requests = Counter(
            "lettabot_requests", "Requests that were answered.", ("method", "route", "status"), registry=registry
        )
        self._request_seconds = Histogram(
            "lettabot_request_seconds",
            "From a request to the last byte of its answer.",
            ("route",),
            buckets=_TO_ANSWER,
            registry=registry,
        )
        self._turns = Counter(
            "lettabot_turns", "Turns that have ended.", ("agent", "outcome", "code"), registry=registry
        )
        self._deliveries = Counter(
            "lettabot_deliveries", "Messages that an agent has taken.", ("agent",), registry=registry
        )
        self._prevented = Counter(
            "lettabot_deliveries_prevented",
            "Requests that got an earlier turn instead of a second delivery, by what they were recognised by.",
            ("rule",),
            registry=registry,
        )
        self._recovered = Counter(
            "lettabot_answers_recovered",
            "Answers that were finished from the backend's records, by the failure that broke them.",
            ("code",),
            registry=registry,
        )
        self._tokens = Counter("lettabot_tokens", "Tokens of ended turns.", ("agent", "kind"), registry=registry)
        self._first_word = Histogram(
            "lettabot_turn_first_word_seconds",
            "From a request to the agent's first word.",
            ("agent",),
            buckets=_TO_ANSWER,
            registry=registry,
        )
        self._turn_seconds = Histogram(
            "lettabot_turn_seconds",
            "From the delivery to the end of a turn.",
            ("agent",),
            buckets=_TO_ANSWER,
            registry=registry,
        )
        self._waiting_seconds = Histogram(
            "lettabot_turn_waiting_seconds",
            "From a request to the moment at which its message is sent.",
            buckets=_TO_ANSWER,
            registry=registry,
        )
        self._state_seconds = Histogram(
            "lettabot_state_seconds", "Reading or writing the state.", buckets=_OF_STATE, registry=registry
        )
        self._state_errors = Counter(
            "lettabot_state_errors", "Times that the state could not be read or written.", registry=registry
        )
        self._cpu = Counter("lettabot_process_cpu_seconds", "CPU time, all processes together.", registry=registry)
        self._open = self._gauge("lettabot_turns_open", "Turns that have not ended.", "livesum")
        self._running = self._gauge("lettabot_turns_running", "Of these, those that an agent works on.", "livesum")
        self._answers = self._gauge("lettabot_open_answers", "Answers that are under way.", "livesum")
        self._connections = self._gauge("lettabot_open_connections", "Connections of clients.", "livesum")
        self._lag = self._gauge("lettabot_event_loop_lag_seconds", "How late the event loop was last.", "livemax")
        self._memory = self._gauge("lettabot_process_resident_memory_bytes", "Memory in use.", "livesum")
        self._files = self._gauge("lettabot_process_open_fds", "Open files.", "livesum")
        self._processes = self._gauge("lettabot_processes", "Processes of this service.", "livesum")
        self._last_cpu = 0.0
        self._by_request: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    @contextmanager
    def began(self, turn: TurnReport) -> Iterator[None]:
        self._open.inc()
        yield

    def accepted(self, agent: Agent) -> None:
        self._running.inc()
        self._deliveries.labels(self._name(agent)).inc()

    def ended(self, turn: TurnReport) -> None:
        agent, failure, ended_at = self._name(turn.agent), turn.failure, turn.ended_at or time.time()
        self._open.dec()
        if turn.accepted_at is not None:
            self._running.dec()
        self._turns.labels(agent, str(turn.outcome), "" if failure is None else str(failure.code)).inc()
        if turn.recovered_from is not None:
            self._recovered.labels(turn.recovered_from).inc()
        if turn.sent_at is not None:
            self._waiting_seconds.observe(turn.sent_at - turn.asked_at)
            self._turn_seconds.labels(agent).observe(ended_at - turn.sent_at)
        if turn.first_word_at is not None and not turn.is_replay:
            self._first_word.labels(agent).observe(turn.first_word_at - turn.asked_at)
        if turn.prompt_tokens or turn.completion_tokens:
            self._tokens.labels(agent, "prompt").inc(turn.prompt_tokens)
            self._tokens.labels(agent, "completion").inc(turn.completion_tokens)

    def prevented(self, rule: PreventionRule, turn_id: str) -> None:
        self._prevented.labels(rule.value).inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method, route, status)
        if (known := self._by_request.get(key)) is None:
            known = (self._requests.labels(method, route, str(status)), self._request_seconds.labels(route))
            self._by_request[key] = known
        known[0].inc()
        known[1].observe(seconds)

    def asked_state(self, seconds: float, is_well: bool) -> None:
        self._state_seconds.observe(seconds)
        if not is_well:
            self._state_errors.inc()

    def sampled(self, lag: float, connections: int, answers: int) -> None:
        self._lag.set(lag)
        self._connections.set(connections)
        self._answers.set(answers)
        self._processes.set(1)
        cpu = time.process_time()
        self._cpu.inc(cpu - self._last_cpu)
        self._last_cpu = cpu

    def measured(self, memory: int, files: int) -> None:
        self._memory.set(memory)
        self._files.set(files)

    def exposition(self, facts: Facts) -> bytes:
        """All metrics, of all processes of this service, as `CONTENT_TYPE` has them. Blocks: files are read."""
        registry: CollectorRegistry = self._registry
        if self._directory:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=self._directory)  # type: ignore[no-untyped-call]
        told = CollectorRegistry()
        told.register(_Told(facts, self._version))
        return generate_latest(registry) + generate_latest(told)

    def _gauge(self, name: str, words: str, mode: str) -> Gauge:
        return Gauge(name, words, registry=self._registry, multiprocess_mode=mode)  # type: ignore[arg-type]

    def _name(self, agent: Agent) -> str:
        key = agent.key
        if key not in self._agents:
            if len(self._agents) >= _MOST_AGENTS:
                return _OTHER
            self._agents[key] = agent.name or agent.id
        return self._agents[key]


class _Told(Collector):
    """What was told at the moment of asking."""

    def __init__(self, facts: Facts, version: str) -> None:
        self._facts = facts
        self._version = version

    def collect(self) -> Iterator[Metric]:
        facts = self._facts
        yield _labelled("lettabot_build_info", "The version.", "version", {self._version: 1})
        waiting = "Turns that wait behind another one of their conversation, in all processes."
        yield GaugeMetricFamily("lettabot_turns_waiting", waiting, value=facts.waiting)
        yield _labelled("lettabot_jobs", "Jobs that are known, by state.", "state", facts.jobs)
        oldest = "Age of the oldest job that has not ended."
        yield GaugeMetricFamily("lettabot_oldest_open_job_seconds", oldest, value=facts.oldest_open_job)
        yield _labelled("lettabot_backend_up", "Whether a backend can be used.", "backend", facts.backends)


def _labelled(name: str, words: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=[label])
    for each, value in values.items():
        family.add_metric([each], float(value))
    return family
