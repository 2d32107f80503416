"""The client of Letta's API, as this service needs it, and how long it waits."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypedDict

import httpx
from letta_client import AsyncLetta
from letta_client._response import AsyncAPIResponse

from adapters.letta.failures import LETTA_ERRORS, failure_of_question
from adapters.letta.network import http_client
from domain.model.failures import Failure, FailureError
from ports.outgoing_context import OutgoingContext

# Seconds. Letta pings every 20 s of silence, so this long without a byte is a broken connection.
SILENCE = 90.0
CONNECT = 5.0
# Whoever waits for a list of agents, waits less.
QUESTION = 15.0
# Letta's own server closes idle connections after 5 s, and a POST on a dying connection has an unknown delivery.
KEEP_ALIVE = 2.0
# What any question takes at most, from its beginning to the last byte of the answer.
ANSWER_WITHIN = 30.0


def _timeout(silence: float) -> httpx.Timeout:
    return httpx.Timeout(silence, connect=CONNECT, pool=None)


class Options(TypedDict):
    """Of one request."""

    timeout: httpx.Timeout


BRIEF: Options = {"timeout": _timeout(QUESTION)}


def letta_client(base_url: str, api_key: str | None, outgoing: OutgoingContext | None = None) -> AsyncLetta:
    """A client that never sends twice and never queues for a connection. Raises `NetworkSettingError`.

    Its own retries would deliver one message up to three times (recorded). An empty key would make every call fail.
    `max_connections` is 0 because the aiohttp transport takes None for its default of 100."""
    client = AsyncLetta(
        base_url=base_url,
        max_retries=0,
        timeout=_timeout(SILENCE),
        http_client=http_client(base_url, httpx.Limits(max_connections=0, keepalive_expiry=KEEP_ALIVE), outgoing),
        default_headers={"Accept-Encoding": "gzip"},
    )
    # Set afterwards, because the constructor takes None for "look into the environment", where it may be empty.
    client.api_key = api_key or None
    return client


async def ask(
    question: Awaitable[AsyncAPIResponse[Any]], failure_of: Callable[[BaseException], Failure] = failure_of_question
) -> bytes:
    """The whole answer to a question that delivers nothing. Raises `FailureError`."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            return await (await question).read()
    except LETTA_ERRORS as error:
        raise FailureError(failure_of(error)) from error
