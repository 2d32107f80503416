"""One client's answer, whole or as a stream, from a reader of a turn's log. Notices when the client hangs up."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from litestar.types import Receive, Scope, Send

from domain.model.events import Failed, TurnEvent
from domain.model.failures import Failure
from domain.services.turn_log import TurnReader
from domain.services.turn_subscription import TurnSubscription
from entrypoints.http.api_errors import ApiError, internal_error, of_failure
from entrypoints.http.request_log import request_log_of
from entrypoints.http.sse import KEEP_ALIVE

# Seconds. Until the backend has accepted the turn, or for this long, a stream can still become an HTTP error.
STATUS_WITHIN = 10.0
# Seconds without a byte after which a stream sends a comment: proxies and clients take longer silence for death.
KEEP_ALIVE_EVERY = 15.0
# As nginx logs a client that hung up.
_HUNG_UP = 499

logger = structlog.get_logger(__name__)


class StreamEncoder(Protocol):
    """What the events of one answer are as bytes of a stream."""

    def opening(self) -> bytes:
        """What every stream begins with."""
        ...

    def encode(self, events: Sequence[TurnEvent]) -> bytes:
        """All that these events add, in one piece; empty if they show nothing."""
        ...

    def failure(self, error: ApiError) -> bytes:
        """The end of a stream that failed after it had begun."""
        ...


class Answer:
    """An ASGI application that answers one request: with what `whole` makes of all events, or as a stream, if there is
    an `encoder`. `leave` is told at the end whether the client got all there was.

    `error_of`: what is raised for a turn that failed before the answer had begun; None: the failure is an answer, which
    `whole` and the encoder tell."""

    def __init__(
        self,
        reader: TurnReader,
        whole: Callable[[Sequence[TurnEvent]], bytes],
        encoder: StreamEncoder | None,
        *,
        leave: Callable[[bool], None] = lambda got_all: None,
        replayed: Callable[[], bool] = lambda: False,
        error_of: Callable[[Failure], ApiError | None] = of_failure,
    ) -> None:
        self._reader = reader
        self._whole = whole
        self._encoder = encoder
        self._leave = leave
        self._replayed = replayed
        self._error_of = error_of

    @staticmethod
    def of(
        reading: TurnSubscription,
        whole: Callable[[Sequence[TurnEvent]], bytes],
        encoder: StreamEncoder | None,
        error_of: Callable[[Failure], ApiError | None],
    ) -> "Answer":
        """To a client that has begun or found a turn."""
        # SDKs ask again when a plain request times out; who stops a stream wants it to stop.
        will_ask_again = encoder is None
        return Answer(
            reading.reader,
            whole,
            encoder,
            leave=lambda got_all: reading.leave(got_all, will_ask_again),
            replayed=lambda: reading.replayed,
            error_of=error_of,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        watching = asyncio.create_task(_watch(receive, self._reader))
        whole = False
        try:
            if self._encoder is None:
                whole = await self._send_whole(send)
            else:
                whole = await self._send_stream(send, self._encoder)
        finally:
            watching.cancel()
            self._reader.close()
            if self._reader.hung_up:
                request_log_of(scope).hung_up(_HUNG_UP)
            self._leave(whole)

    async def _send_whole(self, send: Send) -> bool:
        events: list[TurnEvent] = []
        while not self._reader.finished:
            events += await self._reader.take()
        if self._reader.hung_up:
            return False
        if isinstance(last := events[-1], Failed) and (error := self._error_of(last.failure)) is not None:
            raise error
        body = self._whole(events)
        await self._start(send, b"application/json", (b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.body", "body": body, "more_body": False})
        return not self._reader.hung_up

    async def _send_stream(self, send: Send, encoder: StreamEncoder) -> bool:
        reader, now = self._reader, asyncio.get_running_loop().time
        first = await reader.peek(now() + STATUS_WITHIN)
        if isinstance(first, Failed) and (error := self._error_of(first.failure)) is not None:
            raise error
        if reader.hung_up:
            return False
        await self._start(
            send,
            b"text/event-stream; charset=utf-8",
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
        )
        failed = False
        quiet_until = now() + KEEP_ALIVE_EVERY
        try:
            encoded = encoder.opening()
            while True:
                if encoded:
                    await send({"type": "http.response.body", "body": encoded, "more_body": True})
                    quiet_until = now() + KEEP_ALIVE_EVERY
                if reader.finished:
                    break
                # Reasoning and hidden tool calls show nothing: what counts is when the client last got a byte.
                events = await reader.take(quiet_until)
                failed = bool(events) and isinstance(events[-1], Failed)
                encoded = encoder.encode(events)
                if not encoded and now() >= quiet_until:
                    encoded = KEEP_ALIVE
        except Exception:
            failed = True
            logger.exception("a stream failed because of a bug in this service")
            await send({"type": "http.response.body", "body": encoder.failure(internal_error()), "more_body": True})
        if not reader.hung_up:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        return not failed and not reader.hung_up

    async def _start(self, send: Send, media_type: bytes, *headers: tuple[bytes, bytes]) -> None:
        replayed = [(b"idempotency-replayed", b"true")] if self._replayed() else []
        all_headers = [(b"content-type", media_type), *headers, *replayed]
        await send({"type": "http.response.start", "status": 200, "headers": all_headers})


async def _watch(receive: Receive, reader: TurnReader) -> None:
    """No server stops a handler whose client is gone: it has to ask."""
    while (await receive())["type"] != "http.disconnect":
        pass
    reader.hang_up()
