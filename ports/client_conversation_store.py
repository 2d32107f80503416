"""Where conversations that clients have made are written down. tests/contract states what every store must do."""

from collections.abc import Sequence
from typing import Protocol

from domain.model.client_conversation import ClientConversation, ConversationItem

# Conversations that are kept at most. The oldest go first.
MOST_CONVERSATIONS = 100_000


class ClientConversationStore(Protocol):
    """Every method raises `FailureError` (`state_unavailable`, nothing delivered) if it cannot be read or written."""

    async def keep(self, conversation: ClientConversation) -> None:
        """Write it down, in place of an older one with its id."""
        ...

    async def find(self, conversation_id: str) -> ClientConversation | None:
        """None: there is none of that id, or not any more."""
        ...

    async def delete(self, conversation_id: str) -> None:
        """Forget it, and its items."""
        ...

    async def add_items(self, conversation_id: str, items: Sequence[ConversationItem]) -> bool:
        """Put these behind the others; False: it would hold more than it may, and nothing was written."""
        ...

    async def items(self, conversation_id: str) -> Sequence[ConversationItem]:
        """All of them, in the order in which they came."""
        ...

    async def delete_item(self, conversation_id: str, item_id: str) -> None:
        """Forget one; nothing happens if it is not there."""
        ...
