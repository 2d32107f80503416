"""One connection: uvicorn's, with what uvicorn leaves open. How long it may take: connections.py.

- A head is bounded, and so is what surrounds the body: sizes and extensions of chunks, trailers.
- An offer to change the protocol (`Upgrade`) is ignored, as HTTP allows. The parser would take what follows for that.
- Clients of HTTP/1.0 get no chunks.
- What two servers could read differently is refused; most of that the parser (llhttp) refuses by itself.
- Whoever is refused is told why, in the form of all other errors.
"""

import asyncio
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from entrypoints.http.api_errors import ApiError
from entrypoints.http.connection.limits import Connections, Wait
from entrypoints.http.connection.refusals import head_too_large, head_too_slow, invalid_http, shutting_down
from entrypoints.http.connection.request_head import MOST_FIELDS, Overhead, framing_of, refusal_of_head
from entrypoints.http.connection.responses import Outgoing, closing_unless_read, is_done, refusal, without_chunks

# Requests that wait on one connection for the answer to the one before them.
_PIPELINED = 32


class Connection(HttpToolsProtocol):
    """It inherits because that is how uvicorn lets a parser be looked after.

    Requests on one connection are carried out one after the other: `_running` is under way, or was the last one; those
    in `pipeline` wait; `cycle` is the newest of all, whose body may still be on its way."""

    def __init__(self, connections: Connections, **given_by_uvicorn: Any) -> None:
        super().__init__(**given_by_uvicorn)
        self._connections = connections
        self._limit = connections.limits.head_bytes
        self._overhead = Overhead(self._limit)
        self.headers = []
        self._wait: Wait | None = None
        self._running: RequestResponseCycle | None = None
        self._outgoing: Outgoing | None = None
        # Why the parser is made to stop.
        self._refusal: ApiError | None = None
        self._head_begun = False
        # Between the end of a head and the end of its body.
        self._in_body = False
        self._body_parts: list[bytes] = []
        self._framing = b""
        self._is_repeat = False
        # Nothing more is looked at.
        self._is_over = False
        self._is_stopping = False
        self._unread = 0

    # What comes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._outgoing = Outgoing(transport, self._close_gently)
        self._wait = Wait.HEAD
        self._connections.enter(self, self.loop.time())

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.leave(self)
        for cycle in self._unanswered():
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._overhead.data_begins(len(data))
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse(self._refusal or invalid_http())
            return
        self._hand_body_over()
        self._overhead.data_ends(self._head_begun)
        if self._overhead.is_too_much or len(self.headers) > MOST_FIELDS:
            self._refuse(head_too_large(self._limit))
            return
        # Line ends between requests are no sign of life.
        if (self._overhead.has_crossed or self._head_begun) and not self._is_busy:
            self._wait_for_what_comes()

    def _parse(self, data: bytes) -> None:
        rest: bytes | memoryview = data
        while rest:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = memoryview(rest)[upgrade.args[0] :]
                self._ignore_upgrade()
            else:
                return

    def _ignore_upgrade(self) -> None:
        """The parser took the end of the head for the end of the request: a new one is told what is still to come."""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._is_repeat = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + self._framing + b"\r\n")
        self._is_repeat = False

    # What the parser calls

    def on_message_begin(self) -> None:
        self._head_begun = not self._is_repeat
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._is_repeat:
            return
        version = self.parser.get_http_version()
        self._refusal = self._why_refused(version)
        if self._refusal is not None:
            raise self._refusal
        if version == "1.0":
            self.expect_100_continue = False
        super().on_headers_complete()
        cycle = self.cycle
        cycle.transport = cast("asyncio.Transport", self._outgoing)
        self._overhead.crosses()
        self._in_body, self._head_begun = True, False
        if self.parser.should_upgrade():
            self._framing = framing_of(self.headers)
        # Trailers are headers that nobody has looked at on the way: they are left out.
        self.headers = []
        if self._wait is not None:
            self._wait = None
            self._connections.serves(self)
        if not self._connections.has_room(self.loop.time()):
            cycle.scope["state"]["crowded"] = True
            cycle.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        # The parser leaves blanks behind a value, which do not belong to it.
        super().on_header(name, value.rstrip(b" \t"))

    def on_body(self, body: bytes) -> None:
        # There may be 40,000 of these in one piece of data.
        self._body_parts.append(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._hand_body_over()
        self._overhead.crosses()
        self._in_body = False
        super().on_message_complete()

    def _hand_body_over(self) -> None:
        """What of it came in this piece of data."""
        if self._body_parts:
            body = b"".join(self._body_parts)
            self._body_parts.clear()
            self._overhead.body_comes(len(body))
            super().on_body(body)

    def _why_refused(self, version: str) -> ApiError | None:
        """If so."""
        method = self.parser.get_method()
        if error := refusal_of_head(method, version, self.headers):
            return error
        if self._overhead.is_head_too_large(method, self.url, self.headers):
            return head_too_large(self._limit)
        if len(self.pipeline) >= _PIPELINED:
            return invalid_http("Too many requests wait on this connection.")
        return None

    # What goes

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        if cycle.scope["http_version"] == "1.0":
            app = without_chunks(cycle, app)
        elif cycle.waiting_for_100_continue:
            app = closing_unless_read(cycle, app)
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Like uvicorn's, but what comes next has a time for which it is waited, whatever it is."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._looks_after_reader()
        elif self.pipeline:
            self.flow.resume_reading()
            self._start_asgi_task(*self.pipeline.pop())
        elif not self._is_over:
            self.flow.resume_reading()
            self._wait_for_what_comes()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._looks_after_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        # What is left when this side has closed still needs somebody who reads it.
        if not self.transport.is_closing():
            self._connections.has_read(self)

    # The end

    @property
    def is_answering(self) -> bool:
        """Whether an answer is under way, to a request that is whole."""
        return any(not (self._in_body and cycle is self.cycle) for cycle in self._unanswered())

    def shutdown(self) -> None:
        """Requests that are whole are answered; everything else is dropped at once."""
        self._is_stopping = True
        if self._is_busy:
            self._refuse(shutting_down())
        if not self._is_busy and not self.transport.is_closing():
            self.make_way()

    def time_is_up(self, wait: Wait) -> None:
        if wait is Wait.REST:
            self.abort()
        elif self._head_begun:
            self._refuse(head_too_slow(self._connections.limits.head))
        else:
            # Whoever has sent nothing waits for no answer.
            self._connections.serves(self)
            self.make_way()

    def make_way(self) -> None:
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self._looks_after_reader()

    def abort(self) -> None:
        self.transport.abort()

    def has_read_on(self) -> bool:
        before, self._unread = self._unread, self.transport.get_write_buffer_size()
        return self._unread < before

    @property
    def _is_busy(self) -> bool:
        return bool(self.pipeline) or (self._running is not None and not is_done(self._running))

    def _unanswered(self) -> list[RequestResponseCycle]:
        running = [] if self._running is None or is_done(self._running) else [self._running]
        return [*running, *(cycle for cycle, _ in reversed(self.pipeline))]

    def _wait_for_what_comes(self) -> None:
        self._waits(Wait.REST if self._in_body else Wait.HEAD if self._head_begun else Wait.NEXT)

    def _waits(self, wait: Wait) -> None:
        if wait is not self._wait:
            self._wait = wait
            self._connections.waits(self, wait, self.loop.time())

    def _refuse(self, error: ApiError) -> None:
        """Drops the request that is not whole, and is the last one. Those before it are answered first."""
        self._is_over = True
        broken = self.cycle if self._in_body and not is_done(self.cycle) else None
        if broken is not None:
            broken.disconnected = True
            broken.waiting_for_100_continue = False
            broken.message_event.set()
            if self.pipeline and self.pipeline[0][0] is broken:
                self.pipeline.popleft()
        if unanswered := self._unanswered():
            unanswered[-1].keep_alive = False
            return
        if not self._in_body or (broken is not None and not broken.response_started):
            self.transport.write(refusal(error, self.server_state.default_headers))
        self._throw_rest_away()

    def _close_gently(self) -> None:
        if self._in_body or self._is_over:
            self._throw_rest_away()
        else:
            self.transport.close()

    def _throw_rest_away(self) -> None:
        """So that the client comes to read its answer: if this side closed now, what it still sends would be answered
        with a reset, which erases the answer on its side, too."""
        self._is_over = True
        self.pipeline.clear()
        if self.transport.is_closing():
            return
        if self._is_stopping:
            self.make_way()
            return
        self.flow.resume_reading()
        self.transport.write_eof()
        self._waits(Wait.REST)

    def _looks_after_reader(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._connections.reads(self, self.loop.time())
