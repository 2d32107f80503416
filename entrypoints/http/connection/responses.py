"""How answers go out where uvicorn's way would be wrong: without chunks, before the body came, to what is refused."""

import asyncio
import os
from collections.abc import Callable, Iterable

import msgspec
import structlog
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from entrypoints.http.api_errors import ApiError

logger = structlog.get_logger("lettabot")


class Outgoing:
    """The transport that answers are written to; its end is not always that of the connection."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


def refusal(error: ApiError, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The whole answer to a request that no application has seen."""
    request_id = f"req_{os.urandom(16).hex()}"
    body = msgspec.json.encode(error.body)
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        "x-request-id": request_id,
        **error.headers,
    }
    lines = [*default_headers, *((k.encode(), v.encode()) for k, v in headers.items())]
    head = b"".join(name + b": " + value + b"\r\n" for name, value in lines)
    code = error.body.error.code
    logger.info("a request was refused before it was whole", status=error.status, code=code, request_id=request_id)
    return STATUS_LINE[error.status] + head + b"\r\n" + body


def without_chunks(cycle: RequestResponseCycle, app: ASGI3Application) -> ASGI3Application:
    """What has no length ends with the connection."""

    async def call(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        has_length = False

        async def send_unframed(message: ASGISendEvent) -> None:
            nonlocal has_length
            if message["type"] == "http.response.start":
                has_length = any(name.lower() == b"content-length" for name, _ in message.get("headers", []))
                cycle.chunked_encoding = None if has_length else False
            elif message["type"] == "http.response.body" and not has_length:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, send_unframed)

    return call


def closing_unless_read(cycle: RequestResponseCycle, app: ASGI3Application) -> ASGI3Application:
    """A client that waits for leave to send its body, and gets an answer instead, may send it or not: nobody knows
    what comes next."""

    async def call(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        async def send_and_close(message: ASGISendEvent) -> None:
            if cycle.waiting_for_100_continue and message["type"] == "http.response.start":
                cycle.keep_alive = False
            await send(message)

        await app(scope, receive, send_and_close)

    return call


def is_done(cycle: RequestResponseCycle) -> bool:
    """Whether nothing more goes out for this request."""
    return cycle.response_complete or cycle.disconnected
