"""Spans of turns, by OpenTelemetry's conventions for generative AI. What was said is in none, nor are chat keys."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import (
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
    use_span,
)

from domain.model.agent import Agent
from domain.model.turn_report import TurnReport
from ports.turn_observer import PreventionRule

# Characters of what the backend names; it may name anything.
_LONGEST_NAME = 200
# Turns that have ended to which retries can be linked.
_MOST_KEPT = 2000


class OtelTurnObserver:
    """`ports.TurnObserver`. `providers`: what runs the agents of each backend, by the backend's name."""

    def __init__(self, tracer: Tracer, providers: Mapping[str, str]) -> None:
        self._tracer = tracer
        self._providers = providers
        self._live: dict[str, Span] = {}
        self._ended: OrderedDict[str, SpanContext] = OrderedDict()

    @contextmanager
    def began(self, turn: TurnReport) -> Iterator[None]:
        """The attempt of a job begins a trace: the request that wrote the job has long ended."""
        agent = _name(turn.agent.name)
        span = self._tracer.start_span(
            f"invoke_agent {agent}" if agent else "invoke_agent",
            Context() if turn.job is not None else None,
            SpanKind.CLIENT,
            _of_beginning(turn, agent, self._providers.get(turn.agent.backend, "lettabot")),
            start_time=_nanoseconds(turn.asked_at),
        )
        self._live[turn.id] = span
        with use_span(span, record_exception=False, set_status_on_exception=False):
            yield

    def accepted(self, agent: Agent) -> None:
        """Told with the end, which knows when it was."""

    def ended(self, turn: TurnReport) -> None:
        span = self._live.pop(turn.id, None)
        if span is None:
            return
        self._ended[turn.id] = span.get_span_context()
        if len(self._ended) > _MOST_KEPT:
            self._ended.popitem(last=False)
        ended_at = turn.ended_at or turn.asked_at
        if span.is_recording():
            self._tell_steps(span, turn, ended_at)
            _tell_end(span, turn, ended_at)
        span.end(_nanoseconds(ended_at))

    def prevented(self, rule: PreventionRule, turn_id: str) -> None:
        span = get_current_span()
        if not span.is_recording():
            return
        span.set_attribute("lettabot.prevented_by", rule.value)
        if turn_id:
            span.set_attribute("lettabot.turn.id", turn_id)
        live = self._live.get(turn_id)
        context = self._ended.get(turn_id) if live is None else live.get_span_context()
        if context is not None and context != span.get_span_context():
            span.add_link(context)

    def _tell_steps(self, span: Span, turn: TurnReport, ended_at: float) -> None:
        within = set_span_in_context(span, Context())
        self._step("wait", within, turn.asked_at, turn.sent_at or ended_at, turn if turn.sent_at is None else None)
        if turn.sent_at is not None:
            refused = turn if turn.accepted_at is None else None
            self._step("delivery", within, turn.sent_at, turn.accepted_at or ended_at, refused)

    def _step(self, name: str, within: Context, since: float, until: float, failed: TurnReport | None) -> None:
        step = self._tracer.start_span(name, within, start_time=_nanoseconds(since))
        if failed is not None:
            _tell_failure(step, failed)
        step.end(_nanoseconds(max(since, until)))


def _of_beginning(turn: TurnReport, agent: str, provider: str) -> dict[str, str]:
    attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": provider,
        "gen_ai.agent.id": _name(turn.agent.id),
        "gen_ai.agent.name": agent,
        "lettabot.turn.id": turn.id,
    }
    if turn.chat is not None:
        # Chat keys may be names of people: it tells chats apart, and no more.
        attributes["gen_ai.conversation.id"] = hashlib.sha256(turn.chat.encode(errors="replace")).hexdigest()[:32]
    if turn.job is not None:
        attributes["lettabot.job.id"] = turn.job
    return attributes


def _tell_end(span: Span, turn: TurnReport, ended_at: float) -> None:
    if turn.first_word_at is not None:
        span.add_event("first word", timestamp=_nanoseconds(turn.first_word_at))
    for tool, calls in turn.tools.items():
        name = _name(tool)
        event: dict[str, str | int] = {"gen_ai.tool.name": name, "lettabot.tool.calls": calls}
        span.add_event(f"execute_tool {name}", event, _nanoseconds(ended_at))
    span.add_event("end", timestamp=_nanoseconds(ended_at))
    span.set_attribute("lettabot.retries", turn.retries)
    if turn.prompt_tokens or turn.completion_tokens:
        span.set_attribute("gen_ai.usage.input_tokens", turn.prompt_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", turn.completion_tokens)
    if turn.is_replay:
        span.set_attribute("lettabot.replayed", True)
    if turn.recovered_from is not None:
        span.set_attribute("lettabot.recovered_from", turn.recovered_from)
    if turn.response is not None:
        span.set_attribute("gen_ai.response.id", turn.response)
    if turn.failure is not None:
        span.set_attribute("lettabot.delivery", turn.failure.delivery.value)
        _tell_failure(span, turn)


def _tell_failure(span: Span, turn: TurnReport) -> None:
    """By its code: the cause may hold what the backend said."""
    if turn.failure is not None:
        span.set_attribute("error.type", turn.failure.code.value)
        span.set_status(Status(StatusCode.ERROR, turn.failure.code.value))


def _name(text: str) -> str:
    """Half characters, which cannot be exported, are replaced."""
    return text[:_LONGEST_NAME].encode(errors="replace").decode()


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
