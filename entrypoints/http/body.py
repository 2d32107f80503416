"""Reads the body of a request: its type, and no more of it than is allowed. What is in it, json_body.py decodes."""

from collections.abc import Mapping

from litestar.exceptions import ClientException
from litestar.types import Receive

from entrypoints.http.api_errors import ApiError


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes:
    """The whole body; raises `ApiError`: 415 for another type than JSON, 413 when it is larger than `limit` bytes.

    A client can read the 413 only once it has sent its body: up to twice the limit is read and thrown away."""
    content_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if content_type != b"application/json" and not content_type.endswith(b"+json"):
        raise ApiError(
            415, "Send JSON, with the header 'Content-Type: application/json'.", code="unsupported_media_type"
        )
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise ApiError(415, "Send the body as it is, without a Content-Encoding.", code="unsupported_media_type")
    parts: list[bytes] = []
    size = 0
    more = True
    while more and size <= 2 * limit:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientException("The client hung up before its request was whole.")
        more = message["more_body"]
        size += len(message["body"])
        if size <= limit:
            parts.append(message["body"])
        else:
            parts.clear()
    if size > limit:
        error = ApiError(413, f"The body is larger than {limit:,} bytes.", code="request_too_large")
        error.headers["Connection"] = "close"
        raise error
    return b"".join(parts)
