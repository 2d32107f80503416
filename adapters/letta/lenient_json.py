"""Reads Letta's JSON so that what cannot be read costs no more than itself. Knows nothing of what the JSON means."""

import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec

# What reading JSON raises: broken syntax, broken UTF-8, the wrong types (all of them ValueErrors), too deep nesting.
UNREADABLE = (ValueError, RecursionError)

# Bytes of a list that is cut by hand: that takes half a second for each ten million.
_LONGEST_BY_HAND = 8_000_000
_WHOLE_PAIR_OR_OTHER = r"(\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|\\u(?![dD][89a-fA-F])|\\[^u])"
_HALF_PAIR = r"\\u[dD][89a-fA-F][\da-fA-F]{2}"
_ESCAPES = re.compile(f"{_WHOLE_PAIR_OR_OTHER}|{_HALF_PAIR}", re.DOTALL)
_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]+|[\]}]+|,', re.DOTALL)

T = TypeVar("T")

_elements_decoder = msgspec.json.Decoder(list[msgspec.Raw])


def decoded(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw) -> T | None:
    """None: it cannot be read, not even with a replacement for each broken character."""
    try:
        return decoder.decode(data)
    except UNREADABLE:
        pass
    try:
        return decoder.decode(_mended(data))
    except UNREADABLE:
        return None


def elements(data: bytes) -> Sequence[bytes | msgspec.Raw]:
    """The elements of a list, each to be read by itself; raises `msgspec.DecodeError` if it is no list."""
    try:
        return _elements_decoder.decode(data)
    except UNREADABLE:
        mended = _mended(data)
    try:
        return _elements_decoder.decode(mended)
    except UNREADABLE:
        return _cut_by_hand(mended)


def _mended(data: bytes | msgspec.Raw) -> bytes:
    text = bytes(data).decode("utf-8-sig", "replace")
    return _ESCAPES.sub(lambda escape: escape[1] or "\\ufffd", text).encode()


def _cut_by_hand(data: bytes) -> Sequence[bytes]:
    """One element may be nested more deeply than any decoder goes."""
    if not data.lstrip().startswith(b"[") or len(data) > _LONGEST_BY_HAND:
        raise msgspec.DecodeError("it is no list that can be read")
    parts: list[bytes] = []
    depth = start = 0
    for token in _TOKENS.finditer(data):
        at, end = token.span()
        match data[at]:
            case 0x5B | 0x7B:  # [ {
                start = at + 1 if depth == 0 else start
                depth += end - at
            case 0x5D | 0x7D:  # ] }
                if depth <= end - at:
                    parts.append(data[start : at + depth - 1])
                    return [part for part in parts if part.strip()]
                depth -= end - at
            case 0x2C if depth == 1:  # ,
                parts.append(data[start:at])
                start = end
    raise msgspec.DecodeError("the list has no end")
