"""Decodes JSON from clients: mends what they are known to break, and says of the rest what is wrong and where."""

import contextlib
import re
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw

from entrypoints.http.api_errors import ApiError
from entrypoints.http.body.json_outline import MOST, Elements, LimitError, OutlineError, after_blanks, members

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

# Bytes that are decoded at once, in some 15 ms, during which everything else is held up.
_AT_ONCE = 6_000_000
# Bytes of an array up to which it does not matter how many elements it has; and for how many bytes it may have one
# beyond that, because an object is made of each.
_ARRAY_AT_ONCE = 20_000
_BYTES_FOR_AN_ELEMENT = 10
_STEP = 32_768
_NUMBERS = frozenset(b"%d" % digit for digit in range(10)) | {b"-"}
_LONGEST_KEY = 200

_HIGH = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE_SURROGATE = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (_HIGH, _LOW, _HIGH, _LOW))
_BETWEEN_ESCAPES = re.compile(rb"(?<!%b)(?=\\)|(?=\\)(?!%b)" % (_HIGH, _LOW))
_MISSING_FIELD = re.compile("missing required field `(.+)`")
_FILLED_ARRAY = re.compile(rb"\[[ \t\r\n]*+[^\] \t\r\n]")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_array_decoder = msgspec.json.Decoder(list[Raw])
_key_decoder = msgspec.json.Decoder(str)


class ObjectReader(Generic[S]):
    """Reads objects of which some members count, whatever the others are. Raises `ApiError` 400.

    What is large, or nested deeper than the decoder goes, is not decoded as a whole: only the members that count."""

    def __init__(self, type_: type[S]) -> None:
        self._decoder = msgspec.json.Decoder(type_)
        self._fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}

    def read(self, data: bytes | Raw, at: str = "") -> S:
        """Paths in errors begin with `at`."""
        text = memoryview(data)
        if text.nbytes <= _AT_ONCE:
            try:
                return decode(data, self._decoder, at)
            except RecursionError:
                pass
        if text[:3] == _BYTE_ORDER_MARK:
            text = text[3:]
        return self._outlined(text, at)

    def _outlined(self, text: memoryview, at: str) -> S:
        text = text[after_blanks(text) :]
        if bytes(text[:1]) != b"{":
            return decode(text, self._decoder, at)
        try:
            values = {name: value for key, value in members(text) if (name := _decoded_key(key)) in self._fields}
        except OutlineError as error:
            raise _malformed(error) from None
        apart: dict[str, Any] = {}
        rest: list[bytes | memoryview] = [b"{"]
        for name, value in values.items():
            field = self._fields[name]
            kept: bytes | memoryview = value
            if field.type is Raw:
                apart[field.name] = Raw(value)
                kept = b"null"
            elif bytes(value[:1]) in _NUMBERS:
                # Wrong in any case, and slow to decode.
                kept = b"0"
            rest += [b"," if len(rest) > 1 else b"", b'"', name.encode(), b'":', kept]
        read = decode(b"".join([*rest, b"}"]), self._decoder, at)
        return msgspec.structs.replace(read, **apart)


def begins_with(bracket: bytes, value: Raw) -> bool:
    """An array or an object, or something else: known without decoding it."""
    return bytes(memoryview(value)[:1]) == bracket


def is_absent(value: Raw) -> bool:
    """A member that was not sent, or as null."""
    return not value or bytes(memoryview(value)[:4]) == b"null"


def is_filled(value: Raw) -> bool:
    """An array with something in it."""
    return _FILLED_ARRAY.match(value) is not None


def elements(array: Raw, at: str) -> Sequence[Raw]:
    """Of an array, of which not more is decoded. Raises `ApiError` 400."""
    text = memoryview(array)
    parts: Sequence[Raw] | None = None
    if bytes(text[:1]) != b"[" or _has_few_elements(text):
        with contextlib.suppress(RecursionError):
            parts = decode(array, _array_decoder, at)
    try:
        parts = Elements(text) if parts is None else parts
    except OutlineError as error:
        raise _malformed(error) from None
    if len(parts) > MOST:
        raise _malformed(LimitError(f"has more than {MOST:,} parts in one array or object"))
    return parts


def _has_few_elements(array: memoryview) -> bool:
    """No array has more elements than commas and one."""
    if array.nbytes <= _ARRAY_AT_ONCE:
        return True
    return array.nbytes <= _AT_ONCE and bytes(array).count(b",") * _BYTES_FOR_AN_ELEMENT <= array.nbytes


def decode(data: bytes | Raw | memoryview, decoder: "msgspec.json.Decoder[T]", at: str = "") -> T:
    """Decode, after mending if need be; raises `ApiError` 400, whose `param` is a path that begins with `at`.

    Raises `RecursionError` for what is nested too deep for the decoder."""
    try:
        try:
            return decoder.decode(data)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            # JavaScript clients send half of a cut emoji as a lone surrogate, which is no JSON text (RFC 8259).
            if (mended := _mended(bytes(data))) == data:
                raise
            return decoder.decode(mended)
    except msgspec.ValidationError as error:
        raise _refused(str(error), at) from None
    except UnicodeDecodeError:
        raise ApiError(400, "The body is not valid UTF-8.", param=at.lstrip(".") or None) from None
    except msgspec.DecodeError as error:
        raise _malformed(error) from None


def _malformed(error: Exception) -> ApiError:
    if isinstance(error, LimitError):
        return ApiError(400, f"The body {error}.", code="invalid_json")
    return ApiError(400, f"The body is not valid JSON: {error}.", code="invalid_json")


def _refused(problem: str, at: str) -> ApiError:
    """msgspec says ``Expected `str`, got `int` - at `$.model` ``, and names a missing field in the text only."""
    problem, _, path = problem.partition(" - at `$")
    path = path.rstrip("`")
    if missing := _MISSING_FIELD.search(problem):
        path += f".{missing[1]}"
        problem = "This is required"
    param = (at + path).lstrip(".") or None
    return ApiError(400, f"{param or 'The body'}: {problem[0].lower()}{problem[1:]}.", param=param)


def _decoded_key(key: memoryview) -> str:
    if key.nbytes > _LONGEST_KEY:
        return ""
    try:
        return _key_decoder.decode(key)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _mended(data: bytes) -> bytes:
    """Without a byte order mark, and without lone surrogates."""
    data = data.removeprefix(_BYTE_ORDER_MARK)
    if b"\\" not in data or b"\0" in data:
        return data
    # Escaped backslashes are out of the way, as what no JSON holds: those that are left begin an escape.
    marked = data.replace(rb"\\", b"\0\0")
    kept: list[bytes] = []
    at = 0
    while at < len(marked):
        found = _BETWEEN_ESCAPES.search(marked, at + _STEP)
        end = found.start() if found else len(marked)
        kept.append(_LONE_SURROGATE.sub(rb"\\ufffd", marked[at:end]))
        at = end
    return b"".join(kept).replace(b"\0\0", rb"\\")
