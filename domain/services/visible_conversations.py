"""Which conversations of an agent an API key sees: an admin's all, others those of their own chats."""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from domain.model.agent import Agent
from domain.model.api_key import Caller, owner_of
from domain.model.conversation_listing import DEFAULT_ID, Chat, Listed, Refusal, RefusedError
from domain.model.history import ConversationSummary
from domain.model.lane import DEFAULT_CHAT
from domain.services.api_keys import ApiKeys
from domain.services.backends import Backends
from ports.conversation_store import ConversationStore

# Asked of a backend at once, and how often, to find what is wanted among all that it has.
_PAGE, _MOST_PAGES = 500, 20
# What backends call conversations and messages. No other text is sent to any: it may be part of an address there.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")


class VisibleConversations:
    """All asynchronous methods raise `RefusedError` and `FailureError`."""

    def __init__(self, backends: Backends, store: ConversationStore, keys: ApiKeys) -> None:
        self._backends = backends
        self._store = store
        self._keys = keys

    async def page(self, caller: Caller, agent: Agent, most: int, after: str | None) -> tuple[Sequence[Listed], bool]:
        """The newest first; and whether there are more."""
        checked(after)
        listing = self._backends.of(agent).conversation_list
        if listing is None:
            return (), False
        if caller.is_admin:
            found = [*await listing.conversations(agent, most + 1, after)]
            chats = await self._store.chats_of(agent.key, [each.id for each in found[:most]])
            return await self._listed(found[:most], chats), len(found) > most
        chats, found = await self._own(caller, agent), []
        if chats:
            async with aclosing(self._all(agent, after)) as conversations:
                async for each in conversations:
                    if each.id in chats:
                        found.append(each)
                    if len(found) > most or len(found) == len(chats):
                        break
        return await self._listed(found[:most], chats), len(found) > most

    async def find(self, caller: Caller, agent: Agent, conversation: str) -> ConversationSummary:
        """One that this caller may see. What no chat has, the backend has to list."""
        if not _ID.fullmatch(conversation) or conversation == DEFAULT_ID:
            raise RefusedError(Refusal.NOT_FOUND)
        if not caller.is_admin and conversation not in await self._own(caller, agent):
            raise RefusedError(Refusal.NOT_FOUND)
        async with aclosing(self._all(agent, None)) as conversations:
            async for each in conversations:
                if each.id == conversation:
                    return each
        if conversation in await self._store.chats_of(agent.key, [conversation]):
            return ConversationSummary(conversation)
        raise RefusedError(Refusal.NOT_FOUND)

    async def described(self, agent: Agent, conversation: ConversationSummary) -> Listed:
        """With the chat that goes there."""
        [listed] = await self._listed([conversation], await self._store.chats_of(agent.key, [conversation.id]))
        return listed

    async def _own(self, caller: Caller, agent: Agent) -> Mapping[str, str]:
        if not caller.chat_headers:
            return {}
        return await self._store.of_owner(agent.key, "" if caller.share_chats else caller.id)

    async def _all(self, agent: Agent, after: str | None) -> AsyncGenerator[ConversationSummary, None]:
        listing = self._backends.of(agent).conversation_list
        if listing is None:
            return
        for _ in range(_MOST_PAGES):
            page = await listing.conversations(agent, _PAGE, after)
            for each in page:
                yield each
            if not page or page[-1].id == after:
                return
            after = page[-1].id

    async def _listed(self, found: Sequence[ConversationSummary], chats: Mapping[str, str]) -> Sequence[Listed]:
        is_named = any(owner_of(chats[each.id]) for each in found if each.id in chats)
        names = {"": ""} | ({**await self._keys.names()} if is_named else {})
        return [Listed(each, _shown(chats[each.id], names) if each.id in chats else None) for each in found]


def checked(id_: str | None) -> str | None:
    """A place in a list, by the id of what is there. Raises `RefusedError` for what can be no id."""
    if id_ is not None and not _ID.fullmatch(id_):
        raise RefusedError(Refusal.UNKNOWN_ID)
    return id_


def _shown(chat: str, names: Mapping[str, str]) -> Chat:
    if chat == DEFAULT_CHAT:
        return Chat(None, "")
    owner = owner_of(chat)
    return Chat(chat.removeprefix(f"{owner}\n"), names.get(owner))
