"""The gateways of servers with OpenAI's API: with a history that is kept here, or one that the server keeps."""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from adapters.openai.upstream import Upstream, message_of
from domain.model.agent import Agent
from domain.model.events import Text, TurnEvent
from domain.model.failures import FailureError
from domain.model.history import HistoryEntry, Said, bounded
from domain.model.turn import Turn
from ports.history_store import HistoryStore

logger = logging.getLogger(__name__)


class ModelGateway:
    """Plain models: this service keeps each conversation, and sends it along. `name` tells it from other backends.

    What was said is kept when the answer is whole, or was broken off: what a client has read, the agent knows."""

    def __init__(self, upstream: Upstream, histories: HistoryStore, name: str) -> None:
        self._histories = histories
        self._name = name
        self._upstream = upstream
        self.agents = upstream.agents
        self.open_conversation = upstream.open_chat
        self.close_conversation = histories.forget
        self.cancel = upstream.cancel
        self.close = upstream.close

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        message, place = message_of(turn), turn.conversation or self._place_of(turn.agent)
        before = await self._histories.read(place)
        answer: list[str] = []
        is_begun = False
        try:
            async with aclosing(self._upstream.run(turn, bounded(before))) as events:
                async for event in events:
                    is_begun = True
                    if isinstance(event, Text):
                        answer.append(event.text)
                    yield event
        finally:
            if is_begun:
                said = (Said("user", message.text), Said("assistant", "".join(answer)))
                await self._keep(place, bounded((*before, *said)))

    async def read_history(
        self, agent: Agent, conversation: str | None, most: int, before: str | None = None
    ) -> Sequence[HistoryEntry]:
        said = await self._histories.read(conversation or self._place_of(agent))
        entries = [
            HistoryEntry(str(number), user=each.text)
            if each.role == "user"
            else HistoryEntry(str(number), events=(Text(each.text),))
            for number, each in enumerate(said)
        ]
        return entries[-most:]

    def _place_of(self, agent: Agent) -> str:
        """Of its default history."""
        return f"{self._name}/{agent.id}"

    async def _keep(self, place: str, history: Sequence[Said]) -> None:
        try:
            await self._histories.write(place, history)
        except FailureError as error:
            # The client has its answer: that the model forgets it is no failure of this turn.
            logger.warning("What was said cannot be kept, so the model will not know it: %s", error)


class AgentServerGateway:
    """Agents that remember by themselves, in one history each: only the message is sent."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self.agents = upstream.agents
        self.cancel = upstream.cancel
        self.close = upstream.close

    def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        return self._upstream.run(turn)


class ChatServerGateway:
    """The same, with a header that tells the server which chat a message belongs to."""

    def __init__(self, upstream: Upstream, chat_header: str) -> None:
        self._upstream = upstream
        self._chat_header = chat_header
        self.agents = upstream.agents
        self.open_conversation = upstream.open_chat
        self.cancel = upstream.cancel
        self.close = upstream.close

    def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        headers = {} if turn.conversation is None else {self._chat_header: turn.conversation}
        return self._upstream.run(turn, headers=headers)

    async def close_conversation(self, conversation: str) -> None:
        """There is no way to tell the server."""
