"""Reads the bodies of requests: no more of one and of all together, and no slower, than is allowed.

What is in them, json_body.py decodes."""

import asyncio
from collections.abc import Mapping

from litestar.exceptions import ClientException
from litestar.types import Receive

from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from entrypoints.http.api_errors import ApiError, of_failure

# All bodies together may be as large as so many of the largest.
TOGETHER = 4
# Seconds without a byte.
STALLED_AFTER = 30.0
# So many bytes have to come within so many seconds: 20 kB/s.
PACE = 1_200_000
PACE_WITHIN = 60.0
# Seconds between looks at bodies that are not whole: a timer for each of them would cost more than the reading.
LOOK_EVERY = 0.5
# Bytes up to which a body is read even if others take all the room.
_SMALL = 16_384
_RETRY_AFTER = 5


class Body:
    """One that is whole. It counts among all bodies until it is released."""

    def __init__(self, parts: list[bytes], size: int, bodies: "Bodies") -> None:
        self.size = size
        self._parts = parts
        self._bodies = bodies

    def take(self) -> bytes:
        """Its bytes, once."""
        whole = b"".join(self._parts)
        self._parts.clear()
        return whole

    def release(self) -> None:
        """Nobody needs its bytes any more."""
        self._parts.clear()
        self._bodies.held -= self.size
        self.size = 0


class Bodies:
    """All bodies that are being read or decoded. `limit`: bytes of one; `held`: of all, at the moment."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._small = min(_SMALL, limit // 100)
        self._unfinished: set[_Reading] = set()
        self._looking = False
        self._stopping = False

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive) -> Body:
        """The whole body; release it. Raises `ApiError`: 415 for another type than JSON, 413 when it is too large,
        503 when all together are, or when the service stops, 408 when it comes too slowly."""
        _check_type(headers)
        refusal = self._refusal(_declared_size(headers))
        if refusal and headers.get(b"expect", b"").strip().lower() == b"100-continue":
            # The client waits for a word, and will not send it.
            raise refusal
        reading = _Reading(asyncio.get_running_loop().time())
        self._unfinished.add(reading)
        self._look_later()
        try:
            return await self._read(receive, reading, refusal)
        except asyncio.CancelledError:
            if not reading.was_given_up():
                raise
            raise _shutting_down() if self._stopping else _too_slow() from None
        finally:
            self._unfinished.discard(reading)

    def drop_unfinished(self) -> None:
        """The service stops: who has not sent all of a request by now can send it to another one."""
        self._stopping = True
        for reading in self._unfinished:
            reading.give_up()

    def _look_later(self) -> None:
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_later(0 if self._stopping else LOOK_EVERY, self._look)

    def _look(self) -> None:
        self._looking = False
        now = asyncio.get_running_loop().time()
        for reading in self._unfinished:
            if self._stopping or reading.is_too_slow(now):
                reading.give_up()
        if self._unfinished:
            self._look_later()

    async def _read(self, receive: Receive, reading: "_Reading", refusal: ApiError | None) -> Body:
        parts: list[bytes] = []
        size, kept = 0, 0
        more = True
        try:
            # A client can read a refusal only once it has sent its body: so much is read, and thrown away.
            while more and size <= 2 * self.limit:
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientException("The client hung up before its request was whole.")
                more = message["more_body"]
                size += len(message["body"])
                refusal = refusal or self._refusal(size, kept)
                if refusal:
                    parts.clear()
                    self.held -= kept
                    kept = 0
                else:
                    parts.append(message["body"])
                    self.held += size - kept
                    kept = size
                if more:
                    reading.has_come(size, asyncio.get_running_loop().time())
            if refusal:
                raise refusal
            body = Body(parts, kept, self)
            kept = 0
            return body
        finally:
            self.held -= kept

    def _refusal(self, size: int, kept: int = 0) -> ApiError | None:
        """Of a body of that size, `kept` of which counts already."""
        if size > self.limit:
            return _closing(
                ApiError(413, f"The body is larger than {self.limit:,} bytes.", code="request_too_large"), "false"
            )
        if size > self._small and self.held - kept + size > TOGETHER * self.limit:
            error = ApiError(
                503,
                "This service is reading as many large requests as it can. Nothing was delivered; "
                "send yours again in a moment.",
                type_="api_error",
                code="too_many_bodies",
            )
            error.headers["Retry-After"] = str(_RETRY_AFTER)
            return _closing(error, "true")
        return None


class _Reading:
    """One body that comes in, and the task that waits for it."""

    def __init__(self, now: float) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._task = task
        self._cancelled_before = task.cancelling()
        self._given_up = False
        self._progress_at = now
        self._paced = 0
        self._paced_at = now

    def has_come(self, size: int, now: float) -> None:
        """So much of it, by now."""
        self._progress_at = now
        if size - self._paced >= PACE:
            self._paced, self._paced_at = size, now

    def is_too_slow(self, now: float) -> bool:
        return now - self._progress_at > STALLED_AFTER or now - self._paced_at > PACE_WITHIN

    def give_up(self) -> None:
        """End the wait, as `asyncio.timeout` does."""
        if not self._given_up:
            self._given_up = True
            self._task.cancel()

    def was_given_up(self) -> bool:
        """Whether that is why the wait has ended, and nobody else has ended the task."""
        return self._given_up and self._task.uncancel() <= self._cancelled_before


def _check_type(headers: Mapping[bytes, bytes]) -> None:
    content_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if content_type != b"application/json" and not content_type.endswith(b"+json"):
        raise ApiError(
            415, "Send JSON, with the header 'Content-Type: application/json'.", code="unsupported_media_type"
        )
    for encoding in headers.get(b"content-encoding", b"").split(b","):
        if encoding.strip().lower() not in (b"", b"identity"):
            raise ApiError(415, "Send the body as it is, without a Content-Encoding.", code="unsupported_media_type")


def _declared_size(headers: Mapping[bytes, bytes]) -> int:
    declared = headers.get(b"content-length", b"").strip()
    return int(declared[:18]) if declared.isdigit() else 0


def _too_slow() -> ApiError:
    error = ApiError(
        408,
        "The body of the request came too slowly, and was not waited for. Nothing was delivered; send it again.",
        # LiteLLM would not send an `invalid_request_error` again.
        type_="api_error",
        code="request_timeout",
    )
    return _closing(error, "true")


def _shutting_down() -> ApiError:
    return _closing(of_failure(Failure(FailureCode.SHUTTING_DOWN, Delivery.NO)), "true")


def _closing(error: ApiError, should_retry: str) -> ApiError:
    """The rest of the body would be taken for the next request."""
    error.headers["Connection"] = "close"
    error.headers["x-should-retry"] = should_retry
    return error
