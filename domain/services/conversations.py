"""From chat keys to conversations: opened on first use, remembered, opened anew when they were deleted."""

import logging

from domain.model.agent import Agent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.turn import TurnRequest
from domain.services.backends import Backends
from ports.abilities import ChatConversations
from ports.conversation_store import ConversationStore

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
            return None
        self._able(request.agent)
        known = await self._store.find(request.agent.key, request.chat)
        return known or await self._open(request, request.chat)

    async def replace(self, gone: str | None, request: TurnRequest) -> str | None:
        """Another one for this request; None if it never had one."""
        if request.chat is None or gone is None:
            return None
        await self._store.forget(request.agent.key, request.chat, gone)
        return await self.find_or_open(request)

    async def fork(self, stuck: str | None, request: TurnRequest) -> str | None:
        """A copy for this request, whose chat goes on there; None if it has no chat, or its backend cannot do that."""
        forks = self._backends.of(request.agent).forks
        if request.chat is None or stuck is None or forks is None:
            return None
        copy = await forks.fork_conversation(request.agent, stuck)
        await self._store.forget(request.agent.key, request.chat, stuck)
        return await self._store.keep(request.agent.key, request.chat, copy)

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
