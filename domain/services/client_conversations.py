"""Conversations that clients have made: each an id that is a chat key, and what is in it. What clients put into it
themselves is kept here and told to no agent; what was said to agents, their backends remember."""

import logging
import time
from collections.abc import Mapping, Sequence

import msgspec

from domain.model.api_key import Caller
from domain.model.client_conversation import (
    ClientConversation,
    ConversationItem,
    is_conversation_id,
    new_conversation_id,
)
from domain.model.failures import FailureError
from domain.model.history import HistoryEntry
from domain.services.backends import Backends
from ports.client_conversation_store import ClientConversationStore
from ports.conversation_store import ConversationStore

# Of a conversation with an agent, as much is listed.
MOST_ENTRIES = 500

logger = logging.getLogger(__name__)


class ClientConversations:
    """All asynchronous methods raise `FailureError` (`state_unavailable`)."""

    def __init__(self, store: ClientConversationStore, chats: ConversationStore, backends: Backends) -> None:
        self._store = store
        self._chats = chats
        self._backends = backends

    async def make(self, owner: str, metadata: Mapping[str, str]) -> ClientConversation:
        """A new one."""
        conversation = ClientConversation(
            id=new_conversation_id(), owner=owner, made_at=time.time(), metadata=dict(metadata)
        )
        await self._store.keep(conversation)
        return conversation

    async def find(self, conversation_id: str, owner: str) -> ClientConversation | None:
        """None: there is none of that id, whatever text it is, or it is somebody else's."""
        if not is_conversation_id(conversation_id):
            return None
        found = await self._store.find(conversation_id)
        return found if found is not None and found.owner == owner else None

    async def describe(self, conversation: ClientConversation, metadata: Mapping[str, str]) -> ClientConversation:
        """With this metadata from now on."""
        changed = msgspec.structs.replace(conversation, metadata=dict(metadata))
        await self._store.keep(changed)
        return changed

    async def delete(self, conversation: ClientConversation) -> None:
        """Forget it; agents remember what was said to them."""
        await self._store.delete(conversation.id)

    async def add(self, conversation: ClientConversation, items: Sequence[ConversationItem]) -> bool:
        """Put these into it; False: it would hold more than it may."""
        return await self._store.add_items(conversation.id, items)

    async def remove(self, conversation: ClientConversation, item_id: str) -> None:
        """Forget an item that a client has put into it."""
        await self._store.delete_item(conversation.id, item_id)

    async def items(self, conversation: ClientConversation) -> Sequence[ConversationItem]:
        """Those that clients have put into it, oldest first."""
        return await self._store.items(conversation.id)

    async def histories(self, conversation: ClientConversation, caller: Caller) -> Sequence[Sequence[HistoryEntry]]:
        """What was said to agents under this chat key, for each agent, oldest first."""
        chat = caller.own(conversation.id)
        assert chat is not None  # noqa: S101
        found: list[Sequence[HistoryEntry]] = []
        for key, conversation_id in (await self._chats.of_chat(chat)).items():
            try:
                agent = self._backends.agent_of(key)
                history = self._backends.of(agent).history
                if history is not None:
                    found.append(await history.read_history(agent, conversation_id, MOST_ENTRIES))
            except FailureError as error:
                logger.warning("What was said in a conversation cannot be listed: %s", error)
        return found
