"""Decodes JSON from clients: mends what they are known to break, and says of the rest what is wrong and where."""

import re
from typing import TypeVar

import msgspec

from entrypoints.http.api_errors import ApiError

T = TypeVar("T")

# What is escaped and what is paired is matched first, so that a surrogate in group 1 stands alone.
_LONE_SURROGATE = re.compile(
    rb"\\[^u]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
# Strings, even unclosed ones, are matched whole: each byte is looked at once, whatever a client sends.
_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
# Deeper than anything that is read here, and far from the depth at which msgspec gives up.
_DEPTH_KEPT = 100
_MISSING_FIELD = re.compile("missing required field `(.+)`")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def decode(data: bytes | msgspec.Raw, decoder: "msgspec.json.Decoder[T]", at: str = "") -> T:
    """Decode, after mending if need be; raises `ApiError` 400, whose `param` is a path that begins with `at`."""
    data = bytes(data).removeprefix(_BYTE_ORDER_MARK)
    try:
        try:
            return decoder.decode(data)
        except RecursionError:
            return decoder.decode(_repaired(_flattened(data)))
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            # JavaScript clients send half of a cut emoji as a lone surrogate, which is no JSON text (RFC 8259).
            if (repaired := _repaired(data)) == data:
                raise
            return decode(repaired, decoder, at)
    except msgspec.ValidationError as error:
        raise _refused(str(error), at) from None
    except UnicodeDecodeError:
        raise ApiError(400, "The body is not valid UTF-8.", param=at.lstrip(".") or None) from None
    except msgspec.DecodeError as error:
        raise ApiError(400, f"The body is not valid JSON: {error}.", code="invalid_json") from None


def _refused(problem: str, at: str) -> ApiError:
    """msgspec says ``Expected `str`, got `int` - at `$.model` ``, and names a missing field in the text only."""
    problem, _, path = problem.partition(" - at `$")
    path = path.rstrip("`")
    if missing := _MISSING_FIELD.search(problem):
        path += f".{missing[1]}"
        problem = "This is required"
    param = (at + path).lstrip(".") or None
    return ApiError(400, f"{param or 'The body'}: {problem[0].lower()}{problem[1:]}.", param=param)


def _repaired(data: bytes) -> bytes:
    return _LONE_SURROGATE.sub(lambda match: rb"\ufffd" if match[1] else match[0], data)


def _flattened(data: bytes) -> bytes:
    """The same JSON, with null for whatever is nested too deep to be of any interest."""
    kept: list[bytes] = []
    depth = 0
    end = 0
    for match in _STRUCTURE.finditer(data):
        token = match[0]
        if token in b"[{":
            depth += 1
            if depth == _DEPTH_KEPT + 1:
                kept.append(data[end : match.start()])
        elif token in b"]}":
            if depth == _DEPTH_KEPT + 1:
                kept.append(b"null")
                end = match.end()
            depth -= 1
    kept.append(data[end:] if depth <= _DEPTH_KEPT else b"")
    return b"".join(kept)
