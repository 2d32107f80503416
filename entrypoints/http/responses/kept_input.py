"""What is kept of the items that were sent, and how they are listed: each with a type, an id, and its content in
parts."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from entrypoints.http.api_errors import ApiError
from entrypoints.http.body.json_body import ObjectReader, begins_with, elements
from entrypoints.http.responses.item_ids import item_id

# Bytes of an input that is kept as it is; of a larger one, the newest items, so many, without the data of images.
LONGEST = 1_000_000
_MOST_ITEMS = 1_000
_MOST_PARTS = 100
# Bytes up to which an item, or a part of it, is kept as it is.
_SMALL = 20_000
_NO_IMAGE = b"data:,"
_NOTHING = Raw(b"")


class _Item(msgspec.Struct, frozen=True):
    type: Raw = _NOTHING
    role: Raw = _NOTHING
    id: Raw = _NOTHING
    content: Raw = _NOTHING


class _Part(msgspec.Struct, frozen=True):
    type: Raw = _NOTHING
    text: Raw = _NOTHING
    image_url: Raw = _NOTHING


_items = ObjectReader(_Item)
_parts = ObjectReader(_Part)


def kept_input(sent: Raw) -> bytes:
    """JSON: a text, or a list of items."""
    if memoryview(sent).nbytes <= LONGEST:
        return bytes(sent)
    if not begins_with(b"[", sent):
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
    """What is large is not decoded: only its parts are looked at."""
    if memoryview(item).nbytes <= _SMALL:
        return bytes(item)
    try:
        head = _items.read(item)
        parts = elements(head.content, "") if begins_with(b"[", head.content) else ()
        content = b"[" + b",".join([_small(part) for part in parts[:_MOST_PARTS]]) + b"]"
    except (ApiError, RecursionError):
        return b"{}"
    if not parts and memoryview(head.content).nbytes <= LONGEST:
        content = bytes(head.content) or b"null"
    named = [(b"type", head.type), (b"role", head.role), (b"id", head.id)]
    small = [b'"%b":%b,' % (name, bytes(value)) for name, value in named if 0 < memoryview(value).nbytes <= _SMALL]
    return b"{" + b"".join(small) + b'"content":' + content + b"}"


def _small(part: Raw) -> bytes:
    if memoryview(part).nbytes <= _SMALL:
        return bytes(part)
    found = _parts.read(part)
    kind = bytes(found.type) if 0 < memoryview(found.type).nbytes <= _SMALL else b'"input_text"'
    if found.image_url:
        return b'{"type":%b,"image_url":"%b"}' % (kind, _NO_IMAGE)
    text = bytes(found.text) if 0 < memoryview(found.text).nbytes <= LONGEST else b'""'
    return b'{"type":%b,"text":%b}' % (kind, text)
