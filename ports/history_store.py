"""Histories of conversations that no backend keeps. tests/contract states what every store must do."""

from collections.abc import Sequence
from typing import Protocol

from domain.model.history import Said


class HistoryStore(Protocol):
    """By conversation: an id that is unique among all backends. Every method raises `FailureError`
    (`state_unavailable`, nothing delivered) if it cannot be read or written."""

    async def read(self, conversation: str) -> Sequence[Said]:
        """What was said, the oldest first; nothing of an unknown conversation."""
        ...

    async def write(self, conversation: str, history: Sequence[Said]) -> None:
        """Keep this as its history, from now on. Turns of one conversation come one after the other."""
        ...

    async def forget(self, conversation: str) -> None:
        """Keep nothing of it."""
        ...
