"""Tells a tracer of requests and of the check of their API keys. It is there only while traces are wanted."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from entrypoints.http.request_log import request_log_of
from ports.request_tracer import RequestHead, RequestTracer

# Load balancers and Prometheus ask every few seconds.
_UNTRACED = frozenset(("/health", "/health/ready", "/metrics"))

Check = Callable[[Request[Any, Any, Any]], Awaitable[None]]


class Tracing:
    """Goes inside `RequestLogging`, which knows the request's id."""

    def __init__(self, app: ASGIApp, tracer: RequestTracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["path"] in _UNTRACED:
            await self._app(scope, receive, send)
            return
        request_id = request_log_of(scope).request_id
        head = RequestHead(request_id, scope["method"], scope["scheme"], scope["http_version"], [*scope["headers"]])
        with self._tracer.request(head) as traced:

            async def send_traced(message: Message) -> None:
                if message["type"] == "http.response.start":
                    if template := scope.get("path_template"):
                        traced.routed(template)
                    traced.answered(message["status"])
                await send(message)

            try:
                await self._app(scope, receive, send_traced)
            except Exception:
                traced.answered(500)
                raise


def traced_check(check: Check, tracer: RequestTracer) -> Check:
    """The same check, as a step of the request."""

    async def check_traced(request: Request[Any, Any, Any]) -> None:
        with tracer.step("auth"):
            await check(request)

    return check_traced
