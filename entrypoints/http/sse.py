"""Server-Sent Events, as they are written here. What is in them, others decide."""

KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"

# Line separators that JSON allows in strings, but at which some readers of lines split.
_LINE_SEPARATORS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))


def in_lines(encoded: bytes) -> bytes:
    """The same JSON, without any character that ends a line somewhere."""
    for raw, escaped in _LINE_SEPARATORS:
        if raw in encoded:
            encoded = encoded.replace(raw, escaped)
    return encoded
