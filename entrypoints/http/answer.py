"""One client's answer, whole or as a stream, from a reader of a turn's log. Notices when the client hangs up."""

import asyncio
from collections.abc import Callable, Mapping

import msgspec
import structlog
from litestar.types import Receive, Scope, Send

from domain.model.answer_text import whole_reasoning, whole_text
from domain.model.events import Failed, TurnEvent, Usage
from domain.model.turn_log import TurnReader
from entrypoints.http.api_errors import internal_error, of_failure
from entrypoints.http.chat_chunks import KEEP_ALIVE, ChunkEncoder
from entrypoints.http.chat_completion import AnswerForm, AssistantMessage, ChatCompletion, Choice, TokenUsage
from entrypoints.http.request_trail import trail_of

# Seconds. Until the backend has accepted the turn, or for this long, a stream can still become an HTTP error.
STATUS_WITHIN = 10.0
# Seconds without a byte after which a stream sends a comment: proxies and clients take longer silence for death.
KEEP_ALIVE_EVERY = 15.0
# As nginx logs a client that hung up.
_HUNG_UP = 499

logger = structlog.get_logger(__name__)


class Answer:
    """An ASGI application that answers one request. `leave` is told at the end whether the client got all there was.

    `encoder` None means a whole answer."""

    def __init__(
        self,
        reader: TurnReader,
        form: AnswerForm,
        encoder: ChunkEncoder | None,
        headers: Mapping[str, str],
        leave: Callable[[bool], None],
    ) -> None:
        self._reader = reader
        self._form = form
        self._encoder = encoder
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._leave = leave

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
                trail_of(scope).hung_up(_HUNG_UP)
            self._leave(whole)

    async def _send_whole(self, send: Send) -> bool:
        events: list[TurnEvent] = []
        while not self._reader.finished:
            events += await self._reader.take()
        if self._reader.hung_up:
            return False
        if isinstance(last := events[-1], Failed):
            raise of_failure(last.failure, self._form.repeated_for)
        body = msgspec.json.encode(_completion(events, self._form))
        await self._start(send, b"application/json", (b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.body", "body": body, "more_body": False})
        return not self._reader.hung_up

    async def _send_stream(self, send: Send, encoder: ChunkEncoder) -> bool:
        reader, now = self._reader, asyncio.get_running_loop().time
        if isinstance(first := await reader.peek(now() + STATUS_WITHIN), Failed):
            raise of_failure(first.failure, self._form.repeated_for)
        if reader.hung_up:
            return False
        await self._start(
            send,
            b"text/event-stream; charset=utf-8",
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
        )
        failed = False
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
            logger.exception("a stream failed by a mistake of this service")
            await send({"type": "http.response.body", "body": encoder.failure(internal_error()), "more_body": True})
        if not reader.hung_up:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        return not failed and not reader.hung_up

    async def _start(self, send: Send, media_type: bytes, *headers: tuple[bytes, bytes]) -> None:
        all_headers = [(b"content-type", media_type), *headers, *self._headers]
        await send({"type": "http.response.start", "status": 200, "headers": all_headers})


def _completion(events: list[TurnEvent], form: AnswerForm) -> ChatCompletion:
    reasoning = whole_reasoning(events) if form.reasoning else ""
    used = next((event for event in reversed(events) if isinstance(event, Usage)), None) if form.usage else None
    return ChatCompletion(
        id=form.answer_id,
        created=form.created,
        model=form.model,
        choices=(Choice(message=AssistantMessage(whole_text(events), reasoning or msgspec.UNSET)),),
        usage=TokenUsage.of(used) if used else None,
    )


async def _watch(receive: Receive, reader: TurnReader) -> None:
    """No server stops a handler whose client is gone: it has to ask."""
    while (await receive())["type"] != "http.disconnect":
        pass
    reader.hang_up()
