"""GET /metrics: for Prometheus; with an API key, or on a port of its own."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from entrypoints.http.api_errors import ApiError
from entrypoints.http.auth import caller_of

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Text = Callable[[], Awaitable[bytes]]


def metrics_handler(text: Text) -> HTTPRouteHandler:
    @get("/metrics", summary="Metrics for Prometheus", tags=["Administration"], media_type=MediaType.TEXT)
    async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Of all processes of this service. They name all agents, so a key that is limited to some gets none."""
        if caller_of(request.scope).agents:
            raise ApiError(403, "This API key is limited to some agents; metrics tell of all.", code="admin_required")
        return Response(await text(), headers={"content-type": _CONTENT_TYPE})

    return metrics


def metrics_app(text: Text) -> ASGIApp:
    """An application that tells nothing else, and needs no key."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            return
        is_there = scope["path"] in ("/metrics", "/metrics/") and scope["method"] in ("GET", "HEAD")
        body = await text() if is_there else b"Metrics are at /metrics.\n"
        headers = [
            (b"content-type", _CONTENT_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200 if is_there else 404, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return answer
