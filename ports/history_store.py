"""Histories of conversations that no backend keeps. tests/contract states what every store must do."""

from collections.abc import Sequence
from typing import Protocol

from domain.model.history import ConversationSummary, Said


class HistoryStore(Protocol):
    """By conversation: an id that is unique among all backends. Every method raises `FailureError`
    (`state_unavailable`, nothing delivered) if it cannot be read or written."""

    async def read(self, conversation: str) -> Sequence[Said]:
        """What was said, the oldest first; nothing of an unknown conversation."""
        ...

    async def write(self, conversation: str, history: Sequence[Said], of: str = "") -> None:
        """Keep this as its history, from now on. Turns of one conversation come one after the other. `of`: in whose
        list it is, from now on; in none, if it is empty."""
        ...

    async def listed(self, of: str, most: int, after: str | None = None) -> Sequence[ConversationSummary]:
        """What was written into this list, so many at most, the newest first. `after`: only those that come after that
        one; none, if it is not in the list."""
        ...

    async def list_of(self, conversation: str) -> str | None:
        """In which list it is; empty: in none; None: there is no such conversation."""
        ...

    async def name(self, conversation: str, summary: str) -> None:
        """Give it this summary, if there is such a conversation."""
        ...

    async def forget(self, conversation: str) -> None:
        """Keep nothing of it."""
        ...
