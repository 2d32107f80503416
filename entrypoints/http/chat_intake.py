"""What every chat request brings: headers, a body that is decoded in one way or another, and a digest of it."""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

from litestar import Request

from entrypoints.http.auth import caller_of, check_again
from entrypoints.http.body import read_body
from entrypoints.http.chat_headers import ChatHeaderReader, ChatHeaders
from entrypoints.settings.chat_options import ChatOptions

T = TypeVar("T")

# Bytes from which a body is decoded in a thread.
LARGE = 1_000_000


class ChatIntake:
    """Reads requests. Raises `ApiError`."""

    def __init__(self, options: ChatOptions) -> None:
        names, trusts = options.header_names, options.trust_chat_headers
        self._readers = {may: ChatHeaderReader(names, trusted=may and trusts) for may in (True, False)}
        self._limit = options.max_body_bytes

    async def read(self, request: Request[Any, Any, Any], decode: Callable[[bytes], T]) -> tuple[ChatHeaders, T, bytes]:
        """The headers, the decoded body, and the body's digest."""
        sent = dict(request.scope["headers"])
        headers = self._readers[caller_of(request.scope).chat_headers].read(sent)
        body = await read_body(sent, request.receive, self._limit)
        await check_again(request.scope)

        def decoded() -> tuple[T, bytes]:
            return decode(body), hashlib.sha256(body).digest()

        asked, digest = decoded() if len(body) <= LARGE else await asyncio.to_thread(decoded)
        return headers, asked, digest
