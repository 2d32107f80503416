"""What the headers of a chat request say about it: which chat, which message, whether it is a retry or a task.

Defaults are the names that the README gives for Open WebUI's connection; Open WebUI's own forwarded ones work, too."""

from collections.abc import Iterable

import msgspec

from entrypoints.http.api_errors import ApiError
from entrypoints.settings.chat_options import HeaderNames

# Longer than any id: what is longer would only fill the memory.
_LONGEST = 500
_LONGEST_IDEMPOTENCY_KEY = 255


class ChatHeaders(msgspec.Struct, frozen=True):
    """Everything is None if it is absent; an empty header is an absent one.

    `is_open_webui`: it speaks as Open WebUI does, with or without values."""

    chat: str | None = None
    message_id: str | None = None
    user_message_id: str | None = None
    task: str | None = None
    idempotency_key: str | None = None
    retry_count: int = 0
    is_open_webui: bool = False
    user_agent: str = ""


def read_chat_headers(headers: Iterable[tuple[bytes, bytes]], names: HeaderNames, trusted: bool) -> ChatHeaders:
    """`trusted`: who calls may say for which chat it speaks. Raises `ApiError` 400."""
    found = {name.decode("latin-1").lower(): value.decode("latin-1").strip() for name, value in headers}

    def said(*wanted: str) -> str | None:
        values = (found.get(name) for name in wanted) if trusted else ()
        value = next((value for value in values if value), None)
        if value is not None and len(value) > _LONGEST:
            raise ApiError(400, f"The header {wanted[0]} is longer than {_LONGEST} characters.", param=wanted[0])
        return value

    own = (names.message, names.user_message, names.task)
    return ChatHeaders(
        chat=said("x-letta-chat-key", names.chat, "x-openwebui-chat-id"),
        message_id=said(names.message),
        user_message_id=said(names.user_message),
        task=said(names.task),
        idempotency_key=_idempotency_key(found),
        retry_count=_retry_count(found.get("x-stainless-retry-count", "")),
        is_open_webui=any(name in own or name.startswith("x-openwebui-") for name in found),
        user_agent=found.get("user-agent", ""),
    )


def _idempotency_key(found: dict[str, str]) -> str | None:
    for name in ("idempotency-key", "x-idempotency-key"):
        key = found.get(name)
        if key is None:
            continue
        if not 1 <= len(key) <= _LONGEST_IDEMPOTENCY_KEY or not all("!" <= character <= "~" for character in key):
            raise ApiError(
                400,
                f"The header {name} must be 1 to {_LONGEST_IDEMPOTENCY_KEY} visible ASCII characters.",
                param=name,
                code="invalid_idempotency_key",
            )
        return key
    return None


def _retry_count(text: str) -> int:
    return int(text[:9]) if text.isascii() and text.isdigit() else 0
