"""Where responses are written down. tests/contract states what every store must do."""

from collections.abc import Sequence
from typing import Protocol

from domain.model.events import TurnEvent
from domain.model.response import KeptResponse, ResponseRecord

# Responses, and bytes of all that was said in them, that are kept at most. The oldest go first.
MOST_RESPONSES = 100_000
MOST_BYTES = 1_000_000_000


class ResponseStore(Protocol):
    """Every method raises `FailureError` (`state_unavailable`, nothing delivered) if it cannot be read or written."""

    async def keep(self, responses: Sequence[KeptResponse]) -> None:
        """Write these down, each in place of an older one with its id; no id comes twice."""
        ...

    async def find(self, response_id: str) -> ResponseRecord | None:
        """None: there is none of that id, or no longer."""
        ...

    async def input(self, response_id: str) -> bytes | None:
        """The items that were sent, as JSON; None: they are not there, or no longer."""
        ...

    async def change(self, record: ResponseRecord) -> None:
        """Write this record in place of the one with its id, if that is still there."""
        ...

    async def add_events(self, response_id: str, position: int, events: Sequence[TurnEvent]) -> None:
        """Keep these as well; `position`: how many there were before. Nothing happens if some are there already."""
        ...

    async def events(self, response_id: str, position: int = 0) -> Sequence[TurnEvent]:
        """What was said in it from that position on; nothing if that is not there, or no longer."""
        ...

    async def delete(self, response_id: str) -> None:
        """Forget it."""
        ...

    async def head(self, lane: str) -> str | None:
        """The last response of a conversation; empty if something else was said after it, None if nobody knows."""
        ...

    async def move_head(self, lane: str, response_id: str) -> None:
        """This is its last response now. Empty: something else was said; then nothing is written for a conversation
        that has no response."""
        ...

    async def is_used(self) -> bool:
        """Whether any conversation has a last response."""
        ...
