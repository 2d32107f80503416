"""Who is told of requests over HTTP and their steps, for traces. Nothing that it does can change a request."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec


class RequestHead(msgspec.Struct, frozen=True):
    """A request as it came in."""

    id: str
    method: str
    scheme: str
    http_version: str
    headers: Sequence[tuple[bytes, bytes]]


class TracedRequest(Protocol):
    """One request that goes on. No method raises."""

    def routed(self, template: str) -> None:
        """Which route it took, with names in place of what clients choose: `/v1/models/{model}`."""
        ...

    def answered(self, status: int) -> None:
        """The head of the answer was sent."""
        ...


class RequestTracer(Protocol):
    """Of one process."""

    def request(self, head: RequestHead) -> AbstractContextManager[TracedRequest]:
        """The request goes on within this context; turns that begin in it belong to it."""
        ...

    def step(self, name: str) -> AbstractContextManager[None]:
        """A part of the request that goes on now. An exception that leaves it is its failure."""
        ...
