"""From chat keys to conversations: opened on first use, remembered, opened anew when they were deleted."""

from domain.model.turn import TurnRequest
from ports.agent_gateway import AgentGateway
from ports.conversation_book import ConversationBook


class Conversations:
    """Turns of one chat come here one after the other, so each chat gets one conversation. Raises `BackendError`."""

    def __init__(self, gateway: AgentGateway, book: ConversationBook) -> None:
        self._gateway = gateway
        self._book = book

    async def of(self, request: TurnRequest) -> str | None:
        """Where this request belongs; None is the agent's default history."""
        if request.passing:
            return await self._gateway.open_conversation(request.agent)
        if request.chat is None:
            return None
        known = await self._book.find(request.agent.id, request.chat)
        return known or await self._open(request, request.chat)

    async def anew(self, request: TurnRequest) -> str | None:
        """Instead of one that is gone."""
        if request.chat is None:
            return None
        await self._book.forget(request.agent.id, request.chat)
        return await self._open(request, request.chat)

    async def _open(self, request: TurnRequest, chat: str) -> str:
        conversation = await self._gateway.open_conversation(request.agent)
        await self._book.keep(request.agent.id, chat, conversation)
        return conversation
