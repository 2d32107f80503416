"""From chat keys to conversations: opened on first use, remembered, opened anew when they were deleted."""

import logging

from domain.model.agent import Agent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.lane import DEFAULT_CHAT
from domain.model.turn import TurnRequest
from domain.services.backends import Backends
from ports.abilities import ChatConversations
from ports.conversation_store import ConversationStore

# Seconds by which the clocks of two machines may differ.
_CLOCKS_DIFFER_BY = 60.0

logger = logging.getLogger(__name__)


class Conversations:
    """Turns of one chat come here one after the other; other processes may have been faster. Raises `FailureError`."""

    def __init__(self, backends: Backends, store: ConversationStore) -> None:
        self._backends = backends
        self._store = store

    async def find_or_open(self, request: TurnRequest) -> str | None:
        """Where this request belongs; None is the agent's default history."""
        if request.ephemeral:
            return await self._able(request.agent).open_conversation(request.agent)
        if request.chat is None:
            if self._backends.of(request.agent).conversations is None:
                return None
            return await self._store.find(request.agent.key, DEFAULT_CHAT)
        self._able(request.agent)
        known = await self._store.find(request.agent.key, request.chat)
        return known or await self._open(request, request.chat)

    async def replace(self, gone: str, request: TurnRequest) -> str | None:
        """Another place for this request, as `find_or_open`."""
        await self._store.forget(request.agent.key, _kept_chat(request), gone)
        return await self.find_or_open(request)

    async def was_assigned(self, request: TurnRequest, since: float) -> bool:
        """Whether this request may have gone somewhere else if it was sent after that time (seconds since 1970)."""
        since -= _CLOCKS_DIFFER_BY
        return not request.ephemeral and await self._store.was_assigned(request.agent.key, _kept_chat(request), since)

    async def fork(self, stuck: str | None, request: TurnRequest) -> str | None:
        """A copy for this request, whose chat goes on there; None if its backend, or nobody, can make one."""
        forks = self._backends.of(request.agent).forks
        if stuck is None or forks is None or request.ephemeral:
            return None
        copy = await forks.fork_conversation(request.agent, stuck)
        await self._store.forget(request.agent.key, _kept_chat(request), stuck)
        return await self._store.keep(request.agent.key, _kept_chat(request), copy)

    async def close(self, agent: Agent, conversation: str) -> None:
        """Delete one that nobody needs any more; that it stays would be no reason to fail."""
        try:
            await self._able(agent).close_conversation(conversation)
        except FailureError as error:
            logger.warning("A conversation that nobody needs any more could not be deleted: %s", error)

    def _able(self, agent: Agent) -> ChatConversations:
        # What was meant for one chat is never said in the history that all share.
        if (conversations := self._backends.of(agent).conversations) is None:
            raise FailureError(Failure(FailureCode.CHATS_NOT_SUPPORTED, Delivery.NO))
        return conversations

    async def _open(self, request: TurnRequest, chat: str) -> str:
        conversation = await self._able(request.agent).open_conversation(request.agent)
        kept = await self._store.keep(request.agent.key, chat, conversation)
        if kept != conversation:
            await self.close(request.agent, conversation)
        return kept


def _kept_chat(request: TurnRequest) -> str:
    return DEFAULT_CHAT if request.chat is None else request.chat
