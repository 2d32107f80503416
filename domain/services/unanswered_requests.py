"""Requests for responses in the background whose clients did not get what they were answered: when the same bytes come
again, they are retries, although nothing says so."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from domain.model.retry_rule import RETRIED_WITHIN

_MOST = 10_000


class _Request(msgspec.Struct):
    readers: int = 0
    is_answered: bool = False
    left_at: float = 0.0


class UnansweredRequests:
    """Of this process, by the digests of their bodies."""

    def __init__(self) -> None:
        self._by_body: OrderedDict[bytes, _Request] = OrderedDict()

    def is_retry(self, body: bytes) -> bool:
        """Whether the last request with these bytes has lost its client before it was answered."""
        known = self._by_body.get(body)
        if known is None or known.is_answered or known.readers:
            return False
        return asyncio.get_running_loop().time() - known.left_at <= RETRIED_WITHIN

    def reading(self, body: bytes) -> Callable[[bool], None]:
        """A client reads its answer; to be called with whether it got all of it."""
        if (request := self._by_body.get(body)) is None or request.is_answered:
            request = self._by_body[body] = _Request()
        self._by_body.move_to_end(body)
        if len(self._by_body) > _MOST:
            self._by_body.popitem(last=False)
        request.readers += 1

        def leave(got_all: bool) -> None:
            request.readers -= 1
            request.is_answered |= got_all
            request.left_at = asyncio.get_running_loop().time()

        return leave
