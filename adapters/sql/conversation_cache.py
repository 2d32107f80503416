"""Conversations that are known without asking the store: a chat asks for its own with every message."""

from collections import OrderedDict
from collections.abc import Mapping

from ports.conversation_store import ConversationStore

# Chats.
_MOST = 10_000


class ConversationCache:
    """`ports.ConversationStore`, in front of another one."""

    def __init__(self, store: ConversationStore) -> None:
        self._store = store
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def find(self, agent_id: str, chat: str) -> str | None:
        if known := self._known.get((agent_id, chat)):
            return known
        found = await self._store.find(agent_id, chat)
        return self._remembered(agent_id, chat, found) if found else None

    async def keep(self, agent_id: str, chat: str, conversation: str) -> str:
        return self._remembered(agent_id, chat, await self._store.keep(agent_id, chat, conversation))

    async def of_chat(self, chat: str) -> Mapping[str, str]:
        return await self._store.of_chat(chat)

    async def forget(self, agent_id: str, chat: str, conversation: str) -> None:
        self._known.pop((agent_id, chat), None)
        await self._store.forget(agent_id, chat, conversation)

    def _remembered(self, agent_id: str, chat: str, conversation: str) -> str:
        self._known[agent_id, chat] = conversation
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return conversation
