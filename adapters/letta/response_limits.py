"""Bounds on what Letta, or whatever answers in its place, can make this service read and keep."""

import zlib
from collections.abc import AsyncIterator

import httpx

# Bytes of a whole answer, unpacked; of the body of an error; of a piece of an answer that is unpacked.
LONGEST_ANSWER = 64_000_000
LONGEST_ERROR = 100_000
_PIECE = 65_536


class AnswerTooLongError(httpx.ReadError):
    """Raised while an answer is read."""


async def bounded(response: httpx.Response) -> None:
    """A hook of the HTTP client, before anybody reads: bounds what is read of an answer, but not of a stream of events.

    Of the body of an error only the beginning is read: its status says enough. Packed answers are unpacked here, piece
    by piece, because httpx unpacks whatever a piece holds at once."""
    assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101
    stream: httpx.AsyncByteStream = response.stream
    packing = response.headers.get("content-encoding", "").strip().lower()
    if packing not in ("", "identity"):
        del response.headers["content-encoding"]
        stream = _Unpacked(stream, packing)
    is_stream = response.is_success and response.headers.get("content-type", "").startswith("text/event-stream")
    if not is_stream:
        stream = _Bounded(stream, LONGEST_ANSWER if response.is_success else LONGEST_ERROR, cut=not response.is_success)
    response.stream = stream


class _Bounded(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, longest: int, cut: bool) -> None:
        self._stream = stream
        self._longest = longest
        self._cut = cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._longest
        async for piece in self._stream:
            left -= len(piece)
            if left < 0 and self._cut:
                return
            if left < 0:
                raise AnswerTooLongError(f"more than {self._longest} bytes")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Unpacked(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, packing: str) -> None:
        self._stream = stream
        self._packing = packing

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._packing not in ("gzip", "x-gzip"):
            raise httpx.DecodingError("nobody asked for this encoding")
        unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            async for packed in self._stream:
                while packed:
                    if piece := unpacking.decompress(packed, _PIECE):
                        yield piece
                    packed = unpacking.unconsumed_tail
        except zlib.error as error:
            raise httpx.DecodingError(str(error)) from error

    async def aclose(self) -> None:
        await self._stream.aclose()
