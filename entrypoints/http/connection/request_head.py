"""Heads of requests, that is request lines and headers: which are refused, and how large they may be."""

from collections.abc import Sequence

from entrypoints.http.api_errors import ApiError
from entrypoints.http.connection.refusals import invalid_http, unsupported_version

# Headers of one request.
MOST_FIELDS = 200
# Bytes around a byte of a body: its chunk has a size and two line ends.
_AROUND_A_BYTE = 8

Headers = Sequence[tuple[bytes, bytes]]


def refusal_of_head(method: bytes, version: str, headers: Headers) -> ApiError | None:
    """Of one that this server does not serve, or that two servers could read differently."""
    if version not in ("1.1", "1.0"):
        return unsupported_version()
    if method == b"CONNECT":
        return invalid_http("This is not a proxy.")
    hosts = 0
    for name, value in headers:
        if name == b"transfer-encoding" and (value.lower() != b"chunked" or version == "1.0"):
            return invalid_http("The only Transfer-Encoding is 'chunked', in HTTP/1.1.")
        hosts += name == b"host"
    if hosts > 1:
        return invalid_http("A request has one Host.")
    return None


def framing_of(headers: Headers) -> bytes:
    """The headers that say how long the body is."""
    framing = (b"content-length", b"transfer-encoding")
    return b"".join(name + b": " + value + b"\r\n" for name, value in headers if name in framing)


class Overhead:
    """Counts what comes over a connection and is no body: bytes of a head that is not whole, or around a body."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._body_bytes = 0
        # In which a head began behind something else: so much of it there may be at most.
        self._uncounted = 0
        # Of the data that is being looked at; the body's only as long as nothing ends in it.
        self._data_bytes = 0
        self._body_in_data = 0
        self.has_crossed = False

    def data_begins(self, size: int) -> None:
        self._data_bytes, self._body_in_data, self.has_crossed = size, 0, False

    def body_comes(self, size: int) -> None:
        self._body_bytes += size
        self._body_in_data += size

    def crosses(self) -> None:
        """From a head to its body, or from a body to the next head."""
        self._bytes, self._body_bytes, self.has_crossed = 0, 0, True

    def data_ends(self, in_head: bool) -> None:
        if self.has_crossed:
            self._uncounted = self._data_bytes if in_head else 0
        else:
            self._bytes += self._data_bytes - self._body_in_data

    @property
    def is_too_much(self) -> bool:
        return self._bytes > self._limit + _AROUND_A_BYTE * self._body_bytes

    def is_head_too_large(self, method: bytes, url: bytes, headers: Headers) -> bool:
        """Of a head that is whole."""
        if len(headers) > MOST_FIELDS:
            return True
        if self._uncounted + self._bytes + self._data_bytes <= self._limit:
            return False
        fields = sum(len(name) + len(value) + len(": \r\n") for name, value in headers)
        return len(method) + len(url) + len("  HTTP/1.1\r\n") + fields + len("\r\n") > self._limit
