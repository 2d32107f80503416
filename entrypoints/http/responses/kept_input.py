"""What is kept of the items that were sent, and how they are listed: each with a type, an id, and its content in
parts."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from entrypoints.http.api_errors import ApiError
from entrypoints.http.body.json_body import elements
from entrypoints.http.responses.item_ids import item_id

# Bytes of an input that is kept as it is; of a larger one, the newest items, so many, without the data of images.
LONGEST = 1_000_000
_MOST_ITEMS = 1_000
_NO_IMAGE = "data:,"

_encode = msgspec.json.Encoder().encode


def kept_input(sent: Raw) -> bytes:
    """JSON: a text, or a list of items."""
    if memoryview(sent).nbytes <= LONGEST:
        return bytes(sent)
    if bytes(memoryview(sent)[:1]) != b"[":
        # A text that is longer than what is kept: nobody needs it to see which message it was.
        return b"[]"
    room, kept = LONGEST, list[bytes]()
    items = elements(sent, ".input")
    for index in range(len(items) - 1, max(-1, len(items) - 1 - _MOST_ITEMS), -1):
        item = _without_images(items[index])
        room -= len(item)
        if room < 0:
            break
        kept.append(item)
    return b"[" + b",".join(reversed(kept)) + b"]"


def listed(kept: bytes, response_id: str) -> Sequence[dict[str, Any]]:
    """The items of an input, oldest first."""
    try:
        items = msgspec.json.decode(kept)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    return [
        _normal(item, response_id, index)
        for index, item in enumerate(items if isinstance(items, list) else [])
        if isinstance(item, dict)
    ]


def normal_item(item: dict[str, Any], id_: str) -> dict[str, Any]:
    """The item with a type, an id and, if it is a message, its content in parts."""
    named = {**item, "id": item["id"] if isinstance(item.get("id"), str) and item["id"] else id_}
    if not isinstance(named.get("type"), str):
        named["type"] = "message"
    if named["type"] != "message":
        return named
    kind = "output_text" if named.get("role") == "assistant" else "input_text"
    content = named.get("content")
    parts = [{"type": kind, "text": content}] if isinstance(content, str) else content
    named["content"] = [_part(part, kind) for part in parts or [] if isinstance(part, dict)]
    named.setdefault("status", "completed")
    named.setdefault("role", "user")
    return named


def _normal(item: dict[str, Any], response_id: str, index: int) -> dict[str, Any]:
    kind = item.get("type")
    prefix = "msg" if kind in (None, "message") else "item"
    return normal_item(item, item_id(prefix, f"{response_id}i", index))


def _part(part: dict[str, Any], kind: str) -> dict[str, Any]:
    if part.get("type") == "text":
        part = {**part, "type": kind}
    if part.get("type") == "output_text":
        return {"annotations": [], "logprobs": [], **part}
    if part.get("type") == "input_image":
        return {"detail": "auto", "file_id": None, **part}
    return part


def _without_images(item: Raw) -> bytes:
    if memoryview(item).nbytes > 6 * LONGEST:
        return b"{}"
    try:
        value = msgspec.json.decode(item)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ApiError):
        return b"{}"
    if not isinstance(value, dict) or not isinstance(value.get("content"), list):
        return bytes(item)
    parts = [
        {**part, "image_url": _NO_IMAGE} if isinstance(part, dict) and "image_url" in part else part
        for part in value["content"]
    ]
    return _encode({**value, "content": parts})
