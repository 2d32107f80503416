"""Spans of requests over HTTP, by OpenTelemetry's conventions for HTTP. Paths and headers are in none: clients put chat
keys there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ports.request_tracer import RequestHead, TracedRequest

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"))
_TRACE_HEADERS = (b"traceparent", b"tracestate")
_propagator = TraceContextTextMapPropagator()


class OtelRequest:
    """`ports.TracedRequest` over one span."""

    def __init__(self, span: Span, method: str) -> None:
        self._span = span
        self._method = method

    def routed(self, template: str) -> None:
        self._span.update_name(f"{self._method} {template}")
        self._span.set_attribute("http.route", template)

    def answered(self, status: int) -> None:
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._span.set_attribute("error.type", str(status))
            self._span.set_status(Status(StatusCode.ERROR))


class OtelRequestTracer:
    """`ports.RequestTracer`."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def request(self, head: RequestHead) -> Iterator[TracedRequest]:
        method = head.method if head.method in _METHODS else "_OTHER"
        sent = {name.decode(): value.decode("latin-1") for name, value in head.headers if name in _TRACE_HEADERS}
        attributes = {
            "http.request.method": method,
            "url.scheme": head.scheme,
            "network.protocol.version": head.http_version,
            "lettabot.request.id": head.id,
        }
        with self._tracer.start_as_current_span(
            method if method != "_OTHER" else "HTTP",
            _propagator.extract(sent),
            SpanKind.SERVER,
            attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield OtelRequest(span, method)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        with self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
            try:
                yield
            except Exception as error:
                # Its words may hold what a client has sent.
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise


def outgoing_context() -> Mapping[str, str]:
    """`ports.OutgoingContext`: the span that goes on, in W3C's headers. Baggage stays here: whoever sent it did not
    mean it for the backend."""
    headers: dict[str, str] = {}
    _propagator.inject(headers)
    return headers
