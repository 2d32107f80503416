"""What was said in a conversation, where this service keeps it because the backend does not remember."""

from collections.abc import Sequence

import msgspec

# What is sent along with each message: the newest, so many, of so many bytes together.
MOST_MESSAGES = 200
MOST_BYTES = 200_000


class Said(msgspec.Struct, frozen=True):
    """One message."""

    role: str
    """`user` or `assistant`."""
    text: str


def bounded(history: Sequence[Said], messages: int = MOST_MESSAGES, size: int = MOST_BYTES) -> Sequence[Said]:
    """Its newest part, beginning with a user's message."""
    kept: list[Said] = []
    for said in reversed(history[-messages:]):
        size -= len(said.text.encode("utf-8", "surrogatepass"))
        if size < 0:
            break
        kept.append(said)
    while kept and kept[-1].role != "user":
        kept.pop()
    return kept[::-1]
