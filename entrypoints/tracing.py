"""Whether traces are wanted, which only the environment says, and what is given to whom if they are."""

import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from importlib import import_module
from importlib.metadata import version

import msgspec
import structlog

from entrypoints.settings import Settings
from entrypoints.workers import WorkerContext
from ports.outgoing_context import OutgoingContext
from ports.request_tracer import RequestTracer
from ports.turn_observer import TurnObserver

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HTTP = "http/protobuf"

logger = structlog.get_logger("lettabot")


class Tracing(msgspec.Struct, frozen=True):
    """What others are given. Nothing: no traces."""

    observers: Sequence[TurnObserver] = ()
    requests: RequestTracer | None = None
    outgoing: OutgoingContext | None = None


def are_traces_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """By OpenTelemetry's own variables."""
    is_off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    is_off = is_off or environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none"
    return not is_off and any(environment.get(name, "").strip() for name in _ENDPOINTS)


def import_tracing() -> None:
    """Which takes a while, if traces are wanted and can be had."""
    if are_traces_wanted():
        try:
            import_module("adapters.otel.export")
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("opentelemetry"):
                raise


def opened_tracing(settings: Settings, worker: WorkerContext | None, closing: AsyncExitStack) -> Tracing:
    """Of one process; `closing` sends the last spans. What prevents traces is said in the log, and prevents no more."""
    if not are_traces_wanted():
        return Tracing()
    try:
        from adapters.otel.export import SpanExport
        from adapters.otel.requests import OtelRequestTracer, outgoing_context
        from adapters.otel.turns import OtelTurnObserver
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        if worker is None or worker.is_first:
            logger.warning(
                "OTEL_EXPORTER_OTLP_ENDPOINT is set, but there are no traces: OpenTelemetry is not installed. "
                "Install it with 'pip install lettabot[otel]', or unset the variable."
            )
        return Tracing()
    try:
        export = SpanExport(version("lettabot"), None if worker is None else worker.number)
    except (ValueError, OSError, RuntimeError) as error:
        logger.warning("There are no traces: a variable OTEL_* cannot be used", cause=str(error))
        return Tracing()
    protocol = next((set_ for name in _PROTOCOLS if (set_ := os.environ.get(name, "").strip())), _HTTP)
    if protocol != _HTTP and (worker is None or worker.is_first):
        logger.warning("Traces are sent as http/protobuf, the only protocol here", wanted=protocol)
    closing.push_async_callback(export.close)
    providers = {each.name: _provider(each.mode) for each in settings.backends}
    providers[""] = next(iter(providers.values()))
    return Tracing((OtelTurnObserver(export.tracer, providers),), OtelRequestTracer(export.tracer), outgoing_context)


def _provider(mode: str) -> str:
    """Modes say where the agents are, too."""
    return {"api": "letta", "docker": "letta", "embedded": "lettabot"}.get(mode, mode)
