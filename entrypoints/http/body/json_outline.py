"""Finds the parts of a JSON text without decoding it: in one pass, step by step, however large or deep it is.

A decoder written in C holds up every other thread until it is done, and gives up at some depth. This takes small steps,
and some 20 ns for a byte that it passes by, whatever a client sends. It does not say whether those bytes are valid."""

import re
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import overload

from msgspec import Raw

# Elements of one array, and members of one object, that are told apart.
MOST = 100_000
DEEPEST = 100_000
# Bytes that are looked at in one step: at first, and at most.
_STEP = 64
_LONGEST_STEP = 32_768

_WHOLE_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_BLANKS = re.compile(rb"[ \t\r\n]*+")
_SCALAR = re.compile(rb"[^ \t\r\n,:\"\[\]{}]*+")
_INSIDE_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_BRACKET_OR_STRING = re.compile(rb"[\[\]{}]|" + _WHOLE_STRING + rb"?", re.DOTALL)
# Most messages: an object of strings and other scalars.
_FLAT = re.compile(rb'[\[{](?:[^"\[\]{}]++|' + _WHOLE_STRING + rb")*+[\]}]", re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
# What a bracket adds to the depth, as a signed byte.
_DEPTHS = bytes(1 if code in b"[{" else 255 for code in range(256))


class OutlineError(ValueError):
    """The text is no JSON; the message says why."""


class LimitError(OutlineError):
    """It may be JSON, but nobody needs that much; the message says of what."""


class Elements(Sequence[Raw]):
    """The elements of the array that is all of the text; they stay where they are. Raises `OutlineError`."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._bounds = array("Q")
        for _key, value in _parts(data, b"[", b"]"):
            self._bounds.extend((value.start, value.stop))

    def __len__(self) -> int:
        return len(self._bounds) // 2

    @overload
    def __getitem__(self, index: int) -> Raw: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Raw]: ...
    def __getitem__(self, index: int | slice) -> Raw | Sequence[Raw]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        at = 2 * range(len(self))[index]
        return Raw(self._data[self._bounds[at] : self._bounds[at + 1]])


def members(data: memoryview) -> Iterator[tuple[memoryview, memoryview]]:
    """Keys, in their quotes, and values of the object that is all of the text. Raises `OutlineError`."""
    for key, value in _parts(data, b"{", b"}"):
        yield data[key], data[value]


def _parts(data: memoryview, opening: bytes, closing: bytes) -> Iterator[tuple[slice, slice]]:
    """Where keys (of an object) and values are."""
    key = slice(0, 0)
    at = _after(opening, data, after_blanks(data))
    more = bytes(data[at : at + 1]) != closing
    count = 0
    while more:
        if opening == b"{":
            key = slice(at, _string_end(data, at))
            at = _after(b":", data, after_blanks(data, key.stop))
        value = slice(at, _value_end(data, at))
        yield key, value
        count += 1
        if count > MOST:
            raise LimitError(f"has more than {MOST:,} parts in one array or object")
        at = after_blanks(data, value.stop)
        more = bytes(data[at : at + 1]) != closing
        if more:
            at = _after(b",", data, at)
    if (end := after_blanks(data, at + 1)) < len(data):
        raise OutlineError(f"something is left behind the end (byte {end})")


def after_blanks(data: memoryview, at: int = 0) -> int:
    return _after_run(_BLANKS, data, at)


def _after_run(pattern: re.Pattern[bytes], data: memoryview, at: int) -> int:
    while (found := pattern.match(data, at, at + _LONGEST_STEP)) and found.end() > at:
        at = found.end()
    return at


def _after(mark: bytes, data: memoryview, at: int) -> int:
    if bytes(data[at : at + 1]) != mark:
        raise OutlineError(f"{mark.decode()!r} is missing (byte {at})")
    return after_blanks(data, at + 1)


def _value_end(data: memoryview, at: int) -> int:
    match bytes(data[at : at + 1]):
        case b'"':
            return _string_end(data, at)
        case b"[" | b"{":
            found = _FLAT.match(data, at, at + _LONGEST_STEP)
            return found.end() if found else _container_end(data, at)
        case _:
            end = _after_run(_SCALAR, data, at)
            if end == at:
                raise OutlineError(f"a value is missing (byte {at})")
            return end


def _string_end(data: memoryview, at: int) -> int:
    if bytes(data[at : at + 1]) != b'"':
        raise OutlineError(f"'\"' is missing (byte {at})")
    at += 1
    while found := _INSIDE_STRING.match(data, at, at + _LONGEST_STEP):
        if bytes(data[found.end() : found.end() + 1]) == b'"':
            return found.end() + 1
        if found.end() == at:
            break
        at = found.end()
    raise OutlineError("a string does not end")


def _container_end(data: memoryview, at: int) -> int:
    """Behind the bracket that closes the one at `at`.

    Steps without it are skipped without a look at each bracket. Where it is, steps become shorter."""
    at += 1
    depth = 1
    if found := _closed(data, at, at + _STEP, depth):
        return found
    step = 2 * _STEP
    while True:
        outside, length = _outside_strings(bytes(data[at : at + step]))
        if not length:
            # Raises if this is the end of the text.
            at = _string_end(data, at)
            continue
        end = at + length
        brackets = outside.translate(None, _NO_BRACKETS)
        closing = brackets.count(b"]") + brackets.count(b"}")
        if depth > closing or depth + min(_changes(brackets)) > 0:
            depth += len(brackets) - 2 * closing
            if depth > DEEPEST:
                raise LimitError(f"is nested deeper than {DEEPEST:,} levels")
            at = end
            step = min(2 * step, _LONGEST_STEP)
        elif step > _STEP:
            step //= 2
        else:
            return _closed(data, at, end, depth)


def _outside_strings(text: bytes) -> tuple[bytes, int]:
    """What is not in strings, up to the string that does not end in this text; and up to where that is."""
    if b"\\" in text:
        # Nothing that is escaped matters here, but quotes.
        text = text.replace(rb"\\", b"__").replace(rb"\"", b"__")
    pieces = text.split(b'"')
    if len(pieces) % 2:
        return b"".join(pieces[::2]), len(text)
    return b"".join(pieces[:-1:2]), len(text) - len(pieces[-1]) - 1


def _changes(brackets: bytes) -> Iterator[int]:
    return accumulate(memoryview(brackets.translate(_DEPTHS)).cast("b"))


def _closed(data: memoryview, at: int, end: int, depth: int) -> int:
    """Behind the bracket with which the depth comes down to 0; 0 if that is not before `end`."""
    for found in _BRACKET_OR_STRING.finditer(data, at, end):
        if (bracket := found[0]) in b"[{":
            depth += 1
        elif bracket in b"]}":
            depth -= 1
            if not depth:
                return found.end()
    return 0
