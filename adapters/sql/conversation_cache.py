"""Conversations that are known without asking the store: a chat asks for its own with every message."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from domain.model.lane import DEFAULT_CHAT
from ports.conversation_store import ConversationStore

# Chats.
_MOST = 10_000
# Seconds for which is believed what another process may have changed.
BELIEVED_FOR = 1.0


class ConversationCache:
    """`ports.ConversationStore`, in front of another one.

    `believed_for`: seconds. A process that is alone believes what it knows, because every change comes through here.
    Where several share the store, another one may assign a conversation to a chat: so each believes what it has read
    for that long only, and `assign` returns when that time is over everywhere. That messages without a chat key have
    no conversation of their own is remembered, too: nearly none has."""

    def __init__(
        self, store: ConversationStore, believed_for: float = math.inf, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._believed_for = believed_for
        self._clock = clock
        # With the time until which it is believed.
        self._known: OrderedDict[tuple[str, str], tuple[str | None, float]] = OrderedDict()
        self._assignments = 0

    async def find(self, agent_id: str, chat: str) -> str | None:
        began, assignments = self._clock(), self._assignments
        known, until = self._known.get((agent_id, chat), (None, -math.inf))
        if began < until:
            return known
        found = await self._store.find(agent_id, chat)
        # What was assigned meanwhile may be newer than what was read.
        if assignments == self._assignments and (found or chat == DEFAULT_CHAT):
            self._remember(agent_id, chat, found, began)
        return found

    async def keep(self, agent_id: str, chat: str, conversation: str) -> str:
        began, assignments = self._clock(), self._assignments
        kept = await self._store.keep(agent_id, chat, conversation)
        if assignments == self._assignments:
            self._remember(agent_id, chat, kept, began)
        return kept

    async def of_chat(self, chat: str) -> Mapping[str, str]:
        return await self._store.of_chat(chat)

    async def forget(self, agent_id: str, chat: str, conversation: str) -> None:
        self._known.pop((agent_id, chat), None)
        await self._store.forget(agent_id, chat, conversation)

    async def assign(self, agent_id: str, chat: str, conversation: str | None) -> None:
        try:
            await self._store.assign(agent_id, chat, conversation)
        finally:
            # Even if it is not known whether it was written. All of them: another chat may have lost it.
            self._assignments += 1
            self._known.clear()
        if self._believed_for < math.inf:
            await asyncio.sleep(self._believed_for)

    async def was_assigned(self, agent_id: str, chat: str, since: float) -> bool:
        return await self._store.was_assigned(agent_id, chat, since)

    async def chats_of(self, agent_id: str, conversations: Sequence[str]) -> Mapping[str, str]:
        return await self._store.chats_of(agent_id, conversations)

    async def of_owner(self, agent_id: str, owner: str) -> Mapping[str, str]:
        return await self._store.of_owner(agent_id, owner)

    def _remember(self, agent_id: str, chat: str, conversation: str | None, began: float) -> None:
        self._known[agent_id, chat] = conversation, began + self._believed_for
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
