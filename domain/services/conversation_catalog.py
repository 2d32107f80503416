"""The conversations of agents, for whoever looks after them: what was said, making and deleting, which chat goes where.

An API key that is no admin's sees those of its own chats only; others are as if they were not there."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TypeVar

import msgspec

from domain.model.agent import Agent
from domain.model.api_key import Caller
from domain.model.conversation_listing import DEFAULT_ID, Listed, Refusal, RefusedError
from domain.model.failure_table import FailureCode
from domain.model.failures import FailureError
from domain.model.history import ConversationSummary, HistoryEntry
from domain.model.lane import DEFAULT_CHAT, chat_of
from domain.services.backends import Backend, Backends
from domain.services.conversation_heads import ConversationHeads
from domain.services.turns import Turns
from domain.services.visible_conversations import VisibleConversations, checked
from ports.conversation_store import ConversationStore

T = TypeVar("T")


class ConversationCatalog:
    """All asynchronous methods raise `RefusedError` and `FailureError`."""

    def __init__(
        self,
        backends: Backends,
        store: ConversationStore,
        visible: VisibleConversations,
        turns: Turns,
        heads: ConversationHeads,
    ) -> None:
        self._backends = backends
        self._store = store
        self._visible = visible
        self._turns = turns
        self._heads = heads

    async def page(self, caller: Caller, agent: Agent, most: int, after: str | None) -> tuple[Sequence[Listed], bool]:
        """The newest first; and whether there are more."""
        try:
            return await self._visible.page(caller, agent, most, after)
        except FailureError as error:
            raise _missing_or(error) from error

    async def messages(
        self, caller: Caller, agent: Agent, conversation: str, most: int, before: str | None
    ) -> tuple[Sequence[HistoryEntry], bool]:
        """The newest ones before that one, oldest first; and whether there are older ones."""
        history = _able(self._backends.of(agent), self._backends.of(agent).history, "list what was said")
        place = None if conversation == DEFAULT_ID else (await self._visible.find(caller, agent, conversation)).id
        try:
            entries = [*await history.read_history(agent, place, most + 1, checked(before))]
        except FailureError as error:
            raise _missing_or(error) from error
        return entries[-most:], len(entries) > most

    async def make(
        self, caller: Caller, agent: Agent, summary: str | None, fork_of: str | None, key: str | None
    ) -> Listed:
        """A new conversation, for that chat if there is a key."""
        backend = self._backends.of(agent)
        conversations = _able(backend, backend.conversations, "make conversations")
        if key is None and not caller.is_admin:
            # It would see it no more.
            raise RefusedError(Refusal.ADMIN_REQUIRED)
        chat = self._chat(caller, key)
        names = None if summary is None else _able(backend, backend.conversation_names, "rename conversations")
        if key is not None:
            await self._check_idle(agent, [chat])
        if fork_of is None:
            made = await conversations.open_conversation(agent)
        else:
            forks = _able(backend, backend.forks, "fork conversations")
            made = await forks.fork_conversation(agent, (await self._visible.find(caller, agent, fork_of)).id)
        try:
            if names is not None and summary is not None:
                await names.rename_conversation(agent, made, summary)
            if key is not None:
                await self._assign(agent, chat, made)
        except (FailureError, RefusedError):
            with suppress(FailureError):
                await conversations.close_conversation(made)
            raise
        return await self._visible.described(agent, ConversationSummary(made, summary=summary or ""))

    async def rename(self, caller: Caller, agent: Agent, conversation: str, summary: str) -> Listed:
        """Give it this summary."""
        backend = self._backends.of(agent)
        names = _able(backend, backend.conversation_names, "rename conversations")
        found = await self._visible.find(caller, agent, conversation)
        try:
            await names.rename_conversation(agent, found.id, summary)
        except FailureError as error:
            raise _missing_or(error) from error
        return await self._visible.described(agent, msgspec.structs.replace(found, summary=summary))

    async def delete(self, caller: Caller, agent: Agent, conversation: str) -> None:
        """With all that was said in it. Its chat gets a new one with its next message."""
        backend = self._backends.of(agent)
        conversations = _able(backend, backend.conversations, "delete conversations")
        found = await self._visible.find(caller, agent, conversation)
        chats = [*(await self._store.chats_of(agent.key, [found.id])).values()]
        await self._check_idle(agent, chats)
        gone: FailureError | None = None
        try:
            await conversations.close_conversation(found.id)
        except FailureError as error:
            if error.failure.code is not FailureCode.CONVERSATION_GONE:
                raise
            gone = error
        for chat in chats:
            await self._assign(agent, chat, None)
        if gone is not None:
            raise _missing_or(gone) from gone

    async def assign(self, caller: Caller, agent: Agent, conversation: str, key: str | None) -> None:
        """Return when messages with this chat key (None: without one) go to that conversation."""
        backend = self._backends.of(agent)
        _able(backend, backend.conversations, "tell conversations apart")
        chat = self._chat(caller, key)
        if key is None and not caller.is_admin:
            raise RefusedError(Refusal.ADMIN_REQUIRED)
        if conversation == DEFAULT_ID and key is None:
            await self._check_idle(agent, [chat])
            await self._assign(agent, chat, None)
            return
        found = await self._visible.find(caller, agent, conversation)
        before = (await self._store.chats_of(agent.key, [found.id])).get(found.id)
        if before == chat:
            return
        await self._check_idle(agent, [chat] if before is None else [chat, before])
        await self._assign(agent, chat, found.id)
        if before is not None:
            await self._heads.leave((agent.key, chat_of(before)))

    async def _assign(self, agent: Agent, chat: str, conversation: str | None) -> None:
        await self._heads.leave((agent.key, chat_of(chat)))
        await self._store.assign(agent.key, chat, conversation)

    def _chat(self, caller: Caller, key: str | None) -> str:
        if key is None:
            return DEFAULT_CHAT
        if not caller.chat_headers or (chat := caller.own(key)) is None:
            raise RefusedError(Refusal.NO_CHATS)
        return chat

    async def _check_idle(self, agent: Agent, chats: Sequence[str]) -> None:
        lengths = await self._turns.queue_lengths()
        if any((agent.key, chat_of(chat)) in lengths for chat in chats):
            raise RefusedError(Refusal.BUSY)


def _able(backend: Backend, ability: T | None, what: str) -> T:
    if ability is None:
        raise RefusedError(Refusal.NOT_SUPPORTED, f"The backend '{backend.name}' cannot {what}.")
    return ability


def _missing_or(error: FailureError) -> Exception:
    return RefusedError(Refusal.NOT_FOUND) if error.failure.code is FailureCode.CONVERSATION_GONE else error
