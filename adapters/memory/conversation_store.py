"""A conversation store in memory: forgotten with the process, after which each chat begins a new conversation."""

from collections import OrderedDict
from collections.abc import Mapping

# Chats. The one that was quiet for longest goes first.
KEPT = 100_000


class MemoryConversationStore:
    """`ports.ConversationStore`."""

    def __init__(self, kept: int = KEPT) -> None:
        self._conversations: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._kept = kept

    async def find(self, agent_id: str, chat: str) -> str | None:
        conversation = self._conversations.get((agent_id, chat))
        if conversation is not None:
            self._conversations.move_to_end((agent_id, chat))
        return conversation

    async def keep(self, agent_id: str, chat: str, conversation: str) -> str:
        kept = self._conversations.setdefault((agent_id, chat), conversation)
        self._conversations.move_to_end((agent_id, chat))
        if len(self._conversations) > self._kept:
            self._conversations.popitem(last=False)
        return kept

    async def of_chat(self, chat: str) -> Mapping[str, str]:
        return {agent: kept for (agent, named), kept in self._conversations.items() if named == chat}

    async def forget(self, agent_id: str, chat: str, conversation: str) -> None:
        if self._conversations.get((agent_id, chat)) == conversation:
            del self._conversations[agent_id, chat]
