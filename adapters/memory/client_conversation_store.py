"""A store of clients' conversations in memory: forgotten with the process."""

from collections import OrderedDict
from collections.abc import Sequence

from domain.model.client_conversation import MOST_BYTES, MOST_ITEMS, ClientConversation, ConversationItem

# Conversations that are kept at most. The oldest go first.
MOST = 10_000


class MemoryClientConversationStore:
    """`ports.ClientConversationStore`."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._conversations: OrderedDict[str, ClientConversation] = OrderedDict()
        self._items: dict[str, list[ConversationItem]] = {}

    async def keep(self, conversation: ClientConversation) -> None:
        self._conversations[conversation.id] = conversation
        while len(self._conversations) > self._most:
            await self.delete(next(iter(self._conversations)))

    async def find(self, conversation_id: str) -> ClientConversation | None:
        return self._conversations.get(conversation_id)

    async def delete(self, conversation_id: str) -> None:
        self._conversations.pop(conversation_id, None)
        self._items.pop(conversation_id, None)

    async def add_items(self, conversation_id: str, items: Sequence[ConversationItem]) -> bool:
        known = [*self._items.get(conversation_id, ()), *items]
        if len(known) > MOST_ITEMS or sum(len(item.content) for item in known) > MOST_BYTES:
            return False
        self._items[conversation_id] = known
        return True

    async def items(self, conversation_id: str) -> Sequence[ConversationItem]:
        return tuple(self._items.get(conversation_id, ()))

    async def delete_item(self, conversation_id: str, item_id: str) -> None:
        known = self._items.get(conversation_id, [])
        self._items[conversation_id] = [item for item in known if item.id != item_id]
