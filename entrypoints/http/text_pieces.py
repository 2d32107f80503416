"""Long text in pieces: many readers of streams refuse a line of more than 64 kB."""

from collections.abc import Iterator, Sequence

import msgspec

from entrypoints.http.sse import in_lines

# Bytes of JSON in one piece.
LONGEST = 16_000
# Characters that are never longer than that: JSON writes some as six bytes.
ALWAYS_SHORT = LONGEST // 6


def pieces(text: str) -> Sequence[str]:
    """At least one. Joined, they are the text again."""
    return (text,) if len(text) <= ALWAYS_SHORT else tuple(_pieces(text))


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        size = LONGEST
        while size > ALWAYS_SHORT and len(in_lines(msgspec.json.encode(text[start : start + size]))) > LONGEST:
            size //= 2
        yield text[start : start + size]
        start += size
