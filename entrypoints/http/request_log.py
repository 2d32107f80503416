"""What every request leaves behind, whatever becomes of it: an X-Request-Id on the answer, and one line in the log."""

import os
import re
import time
from collections.abc import Iterable

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from entrypoints.http.api_errors import internal_error, send_error
from entrypoints.http.connection.refusals import too_many_connections
from ports.service_observer import ServiceObserver

# Also when there is no room for anything else: whoever asks there would otherwise take a busy service for a dead one.
_ALWAYS_ANSWERED = ("/", "/health", "/health/ready")
# Characters. Paths come from anybody.
_LONGEST_PATH = 200
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_OTHER = "other"
_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

logger = structlog.get_logger(__name__)


class RequestLog:
    """Filled in as the request goes on; never with message text or keys. `key` is the name of one. `task`: a frontend's
    own request, which was answered without the agent."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.status = 0
        self.whole = False
        self.agent: str | None = None
        self.stream: bool | None = None
        self.key: str | None = None
        self.private = False
        self.task = False

    def keeps_out_of_caches(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """What is for one caller, and what is wrong at the moment. Streams have their own word for it."""
        if not self.private and self.status < 400:
            return False
        return all(name != b"cache-control" for name, _ in headers)

    def hung_up(self, status: int) -> None:
        """The client went away before its answer was whole; `status` is for the log, if it got none."""
        self.status = self.status or status


def request_log_of(scope: Scope) -> RequestLog:
    request_log = scope["state"]["request_log"]
    assert isinstance(request_log, RequestLog)  # noqa: S101
    return request_log


class RequestLogging:
    """Wraps the whole application, so that no answer and no error escapes it."""

    def __init__(self, app: ASGIApp, observer: ServiceObserver | None = None) -> None:
        self._app = app
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        request_log = RequestLog(_request_id(scope))
        scope.setdefault("state", {})["request_log"] = request_log

        async def send_logged(message: Message) -> None:
            if message["type"] == "http.response.start":
                request_log.status = message["status"]
                headers = [*message["headers"], (b"x-request-id", request_log.request_id.encode())]
                if request_log.keeps_out_of_caches(headers):
                    headers.append((b"cache-control", b"no-store"))
                message["headers"] = headers
            elif message["type"] == "http.response.body" and not message["more_body"]:
                request_log.whole = True
            await send(message)

        # Taken now: the router changes the path.
        method, path, started = scope["method"], scope["path"], time.perf_counter()
        # For every line that is written on the way. Not unbound: each request has a context of its own.
        structlog.contextvars.bind_contextvars(request_id=request_log.request_id)
        try:
            if scope["state"].get("crowded") and path not in _ALWAYS_ANSWERED:
                await send_error(send_logged, too_many_connections())
            else:
                await self._app(scope, receive, send_logged)
        except Exception:
            # An answer that has begun is cut off by the server; one that has not can still be honest.
            logger.exception("unexpected error")
            if not request_log.status:
                await send_error(send_logged, internal_error())
        finally:
            seconds = time.perf_counter() - started
            if self._observer is not None:
                self._observer.answered(_method_of(method), _route_of(scope), request_log.status, seconds)
            logger.info(
                "request",
                method=method,
                path=path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}...",
                status=request_log.status,
                ms=round(seconds * 1000, 1),
                agent=request_log.agent,
                stream=request_log.stream,
                **({} if request_log.key is None else {"key": request_log.key}),
                **({"task": True} if request_log.task else {}),
                **({} if request_log.whole else {"whole": False}),
            )


def _method_of(method: str) -> str:
    """Clients may send any word."""
    return method if method in _METHODS else _OTHER


def _route_of(scope: HTTPScope) -> str:
    """The pattern of the path, which the router leaves there."""
    return scope.get("path_template") or _OTHER


def _request_id(scope: HTTPScope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return value.decode()
    return f"req_{os.urandom(16).hex()}"
