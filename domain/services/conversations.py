"""From chat keys to conversations: opened on first use, remembered, opened anew when they were deleted."""

from contextlib import suppress

from domain.model.failures import FailureError
from domain.model.turn import TurnRequest
from ports.agent_gateway import AgentGateway
from ports.conversation_store import ConversationStore


class Conversations:
    """Turns of one chat come here one after the other; other processes may have been faster. Raises `FailureError`."""

    def __init__(self, gateway: AgentGateway, store: ConversationStore) -> None:
        self._gateway = gateway
        self._store = store

    async def find_or_open(self, request: TurnRequest) -> str | None:
        """Where this request belongs; None is the agent's default history."""
        if request.ephemeral:
            return await self._gateway.open_conversation(request.agent)
        if request.chat is None:
            return None
        known = await self._store.find(request.agent.id, request.chat)
        return known or await self._open(request, request.chat)

    async def replace(self, gone: str | None, request: TurnRequest) -> str | None:
        """Another one for this request; None if it never had one."""
        if request.chat is None or gone is None:
            return None
        await self._store.forget(request.agent.id, request.chat, gone)
        return await self.find_or_open(request)

    async def _open(self, request: TurnRequest, chat: str) -> str:
        conversation = await self._gateway.open_conversation(request.agent)
        kept = await self._store.keep(request.agent.id, chat, conversation)
        if kept != conversation:
            # Nobody needs this one; that it stays would be no reason to fail.
            with suppress(FailureError):
                await self._gateway.close_conversation(conversation)
        return kept
