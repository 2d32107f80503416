"""What the headers of a chat request say about it: which chat, which message, whether it is a retry or a task.

Defaults are the names that docs/clients.md gives for Open WebUI's connection; the headers that it forwards by
itself work, too."""

import math
from collections.abc import Mapping

import msgspec

from entrypoints.http.api_errors import ApiError
from entrypoints.settings.chat_options import HeaderNames

# Longer than any id: what is longer would only fill the memory.
_LONGEST = 500
_LONGEST_IDEMPOTENCY_KEY = 255


class ChatHeaders(msgspec.Struct, frozen=True):
    """What the headers of a request say. What is absent is None; an empty header is absent."""

    chat: str | None = None
    message_id: str | None = None
    user_message_id: str | None = None
    task: str | None = None
    idempotency_key: str | None = None
    retry_count: int = 0
    is_open_webui: bool = False
    """Whether it has the headers of Open WebUI, with or without values. The one of the chat others send as well."""
    has_chat_header: bool = False
    """Whether it has the header of the chat that stands in Open WebUI's connection."""
    user_agent: str = ""
    wants_events: bool = False
    """Whether the client accepts a stream."""

    def repeated_for(self, without_key: float) -> float:
        """Seconds for which the same request gets the same error again; with an idempotency key, always."""
        return without_key if self.idempotency_key is None else math.inf


class ChatHeaderReader:
    """`trusted`: who calls may say for which chat it speaks."""

    def __init__(self, names: HeaderNames, trusted: bool) -> None:
        message, user_message, task = names.message.encode(), names.user_message.encode(), names.task.encode()
        self._chat = (b"x-letta-chat-key", names.chat.encode(), b"x-openwebui-chat-id") if trusted else ()
        self._message = (message,) if trusted else ()
        self._user_message = (user_message,) if trusted else ()
        self._task = (task,) if trusted else ()
        self._own = frozenset((message, user_message, task))
        self._chat_header = names.chat.encode()

    def read(self, headers: Mapping[bytes, bytes]) -> ChatHeaders:
        """Names are in lower case. Raises `ApiError` 400."""
        return ChatHeaders(
            chat=_said(headers, self._chat),
            message_id=_said(headers, self._message),
            user_message_id=_said(headers, self._user_message),
            task=_said(headers, self._task),
            idempotency_key=_idempotency_key(headers),
            retry_count=_retry_count(headers.get(b"x-stainless-retry-count", b"")),
            is_open_webui=not self._own.isdisjoint(headers) or any(map(_is_open_webuis, headers)),
            has_chat_header=self._chat_header in headers,
            user_agent=_text(headers.get(b"user-agent", b"")),
            wants_events=b"text/event-stream" in headers.get(b"accept", b"").lower(),
        )


def _said(headers: Mapping[bytes, bytes], names: tuple[bytes, ...]) -> str | None:
    for name in names:
        if (sent := headers.get(name)) and (value := _text(sent)):
            if len(value) > _LONGEST:
                param = name.decode()
                raise ApiError(400, f"The header {param} is longer than {_LONGEST} characters.", param=param)
            return value
    return None


def _idempotency_key(headers: Mapping[bytes, bytes]) -> str | None:
    for header in (b"idempotency-key", b"x-idempotency-key"):
        value = headers.get(header)
        if value is None:
            continue
        key, name = _text(value), header.decode()
        if not 1 <= len(key) <= _LONGEST_IDEMPOTENCY_KEY or not all("!" <= character <= "~" for character in key):
            raise ApiError(
                400,
                f"The header {name} must be 1 to {_LONGEST_IDEMPOTENCY_KEY} visible ASCII characters.",
                param=name,
                code="invalid_idempotency_key",
            )
        return key
    return None


def _is_open_webuis(name: bytes) -> bool:
    return name.startswith(b"x-openwebui-")


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip()


def _retry_count(value: bytes) -> int:
    digits = value.strip()
    return int(digits[:9]) if digits.isdigit() else 0
