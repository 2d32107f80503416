"""Sends spans to a collector, in a thread of its own: a collector that is away delays nothing and fails nothing."""

import asyncio
import logging
import threading
import time
import uuid

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer

# Seconds: for the last spans when the service stops, and between two lines about a collector that is away.
FLUSH_WITHIN = 2.0
QUIET_FOR = 300.0
# Characters of what the collector, or the library, says.
_LONGEST_CAUSE = 300

logger = logging.getLogger(__name__)


class SpanExport:
    """One process' way to the collector; the variables OTEL_* say where and how. After the fork: it has a thread.

    Raises `ValueError`, `OSError` or `RuntimeError` if one of them cannot be used."""

    def __init__(self, version: str, worker: int | None) -> None:
        library = logging.getLogger("opentelemetry")
        library.handlers, library.propagate = [RareWarnings()], False
        own = {"service.name": "lettabot", "service.version": version, "service.instance.id": str(uuid.uuid4())}
        resource = Resource({**own, **({} if worker is None else {"lettabot.worker": worker})})
        # What the environment says of the service comes last.
        resource = Resource.create(resource.merge(OTELResourceDetector().detect()).attributes)
        exporter = OTLPSpanExporter()
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer: Tracer = self._provider.get_tracer("lettabot", version)

    async def close(self) -> None:
        """Send what is left, within `FLUSH_WITHIN` seconds."""
        # A daemon: the process ends without it if the collector does not answer.
        flushing = threading.Thread(target=self._provider.shutdown, daemon=True)
        flushing.start()
        await asyncio.to_thread(flushing.join, FLUSH_WITHIN)


class RareWarnings(logging.Handler):
    """What the library logs about each batch becomes one line of ours, at most every `QUIET_FOR` seconds."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._quiet_until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("opentelemetry.util"):
            # It would quote a header, which may be a credential.
            logger.warning("A variable OTEL_* has a part that cannot be read; it is left out")
            return
        now = time.monotonic()
        if now < self._quiet_until:
            return
        self._quiet_until = now + QUIET_FOR
        cause = record.getMessage()[:_LONGEST_CAUSE]
        logger.warning("Traces are lost: the collector cannot be reached, or refuses them", extra={"cause": cause})
