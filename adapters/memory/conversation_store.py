"""A conversation store in memory: forgotten with the process, after which each chat begins a new conversation."""

import math
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from domain.model.api_key import is_owned_by

# Chats. The one that was quiet for longest goes first.
KEPT = 100_000


class MemoryConversationStore:
    """`ports.ConversationStore`."""

    def __init__(self, kept: int = KEPT) -> None:
        self._conversations: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._assigned: dict[tuple[str, str], float] = {}
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

    async def assign(self, agent_id: str, chat: str, conversation: str | None) -> None:
        now = time.time()
        for place, kept in [*self._conversations.items()]:
            if place == (agent_id, chat) or (place[0] == agent_id and kept == conversation):
                del self._conversations[place]
                self._assigned[place] = now
        self._assigned[agent_id, chat] = now
        if conversation is not None:
            await self.keep(agent_id, chat, conversation)

    async def was_assigned(self, agent_id: str, chat: str, since: float) -> bool:
        return self._assigned.get((agent_id, chat), -math.inf) >= since

    async def chats_of(self, agent_id: str, conversations: Sequence[str]) -> Mapping[str, str]:
        wanted = {*conversations}
        return {
            kept: chat for (agent, chat), kept in self._conversations.items() if agent == agent_id and kept in wanted
        }

    async def of_owner(self, agent_id: str, owner: str) -> Mapping[str, str]:
        return {
            kept: chat
            for (agent, chat), kept in self._conversations.items()
            if agent == agent_id and is_owned_by(chat, owner)
        }
