"""The gateways of servers with OpenAI's API: with a history that is kept here, or one that the server keeps."""

import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from adapters.openai.upstream import Upstream, is_chat, message_of
from domain.model.agent import Agent
from domain.model.events import Text, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.history import ConversationSummary, HistoryEntry, Said, bounded
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
        self.close_conversation = histories.forget
        self.cancel = upstream.cancel
        self.close = upstream.close

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        message, place = message_of(turn), turn.conversation or self._place_of(turn.agent)
        before = await self._histories.read(place)
        answer: list[str] = []
        is_begun, begun_at = False, time.time()
        try:
            async with aclosing(self._upstream.run(turn, bounded(before))) as events:
                async for event in events:
                    is_begun = True
                    if isinstance(event, Text):
                        answer.append(event.text)
                    yield event
        finally:
            if is_begun:
                said = (Said("user", message.text, begun_at), Said("assistant", "".join(answer), time.time()))
                await self._keep(turn, place, bounded((*before, *said)))

    async def open_conversation(self, agent: Agent) -> str:
        return await self._open(agent, ())

    async def fork_conversation(self, agent: Agent, conversation: str) -> str:
        await self._check(agent, conversation)
        return await self._open(agent, await self._histories.read(conversation))

    async def conversations(self, agent: Agent, most: int, after: str | None = None) -> Sequence[ConversationSummary]:
        return await self._histories.listed(self._place_of(agent), most, after)

    async def rename_conversation(self, agent: Agent, conversation: str, summary: str) -> None:
        await self._check(agent, conversation)
        await self._histories.name(conversation, summary)

    async def read_history(
        self, agent: Agent, conversation: str | None, most: int, before: str | None = None
    ) -> Sequence[HistoryEntry]:
        if conversation is not None:
            await self._check(agent, conversation)
        said = await self._histories.read(conversation or self._place_of(agent))
        entries = [_entry(number, each) for number, each in enumerate(said)]
        if before is not None:
            ids = [entry.id for entry in entries]
            entries = entries[: ids.index(before)] if before in ids else []
        return entries[-most:]

    async def _open(self, agent: Agent, history: Sequence[Said]) -> str:
        conversation = await self._upstream.open_chat(agent)
        await self._histories.write(conversation, history, self._place_of(agent))
        return conversation

    async def _check(self, agent: Agent, conversation: str) -> None:
        """Raises `FailureError` (`conversation_gone`) unless this agent has it. Chats that were kept before there were
        lists are in none; default histories are in none either."""
        found = await self._histories.list_of(conversation)
        if found != self._place_of(agent) and (found != "" or not is_chat(conversation)):
            raise FailureError(
                Failure(FailureCode.CONVERSATION_GONE, Delivery.NO, "the model has no such conversation")
            )

    def _place_of(self, agent: Agent) -> str:
        """Of its default history."""
        return f"{self._name}/{agent.id}"

    async def _keep(self, turn: Turn, place: str, history: Sequence[Said]) -> None:
        try:
            await self._histories.write(place, history, self._place_of(turn.agent) if turn.conversation else "")
        except FailureError as error:
            # The client has its answer: that the model forgets it is no failure of this turn.
            logger.warning("What was said cannot be kept, so the model will not know it: %s", error)


def _entry(number: int, said: Said) -> HistoryEntry:
    """The oldest go when there are too many: a number among those that are left would soon be another one's."""
    id_ = f"{said.role}-{said.at or number}"
    if said.role == "user":
        return HistoryEntry(id_, said.at, user=said.text)
    return HistoryEntry(id_, said.at, events=(Text(said.text),))


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
