"""What every chat request brings: headers, a body that is decoded in one way or another, and a digest of it."""

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

from litestar import Request

from entrypoints.http.auth import caller_of, check_again
from entrypoints.http.body.bodies import Bodies
from entrypoints.http.body.decoding import Decoding
from entrypoints.http.chat_headers import ChatHeaderReader, ChatHeaders
from entrypoints.settings.chat_options import ChatOptions

T = TypeVar("T")


class ChatIntake:
    """Reads requests. Raises `ApiError`."""

    def __init__(self, options: ChatOptions, bodies: Bodies) -> None:
        names, trusts = options.header_names, options.trust_chat_headers
        self._readers = {may: ChatHeaderReader(names, trusted=may and trusts) for may in (True, False)}
        self._bodies = bodies
        self._decoding = Decoding()

    async def read(self, request: Request[Any, Any, Any], decode: Callable[[bytes], T]) -> tuple[ChatHeaders, T, bytes]:
        """The headers, the decoded body, and the body's digest."""
        sent = dict(request.scope["headers"])
        headers = self._readers[caller_of(request.scope).chat_headers].read(sent)
        body = await self._bodies.read(sent, request.receive)

        def decoded() -> tuple[T, bytes]:
            whole = body.take()
            return decode(whole), hashlib.sha256(whole).digest()

        try:
            await check_again(request.scope)
            asked, digest = await self._decoding.run(body.size, decoded)
        finally:
            body.release()
        return headers, asked, digest
