"""The gateways of servers with OpenAI's API: with a history that is kept here, or one that the server keeps."""

import logging
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from adapters.openai.upstream import Upstream, user_message
from domain.model.agent import Agent
from domain.model.events import Text, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.history import Said, bounded
from domain.model.turn import Turn, UserMessage
from ports.history_store import HistoryStore

logger = logging.getLogger(__name__)


class ModelGateway:
    """Plain models: this service keeps each conversation, and sends it along. `name` tells it from other backends.

    What was said is kept when the answer is whole, or was broken off: what a client has read, the agent knows."""

    def __init__(self, upstream: Upstream, histories: HistoryStore, name: str, system: str | None = None) -> None:
        self._upstream = upstream
        self._histories = histories
        self._name = name
        self._system = system

    async def agents(self) -> Sequence[Agent]:
        return await self._upstream.agents()

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        message = _message_of(turn)
        place = self._place(turn)
        before = await self._histories.read(place)
        system = [{"role": "system", "content": self._system}] if self._system else []
        earlier = [{"role": said.role, "content": said.text} for said in bounded(before)]
        answer: list[str] = []
        is_begun = False
        try:
            async with aclosing(self._upstream.run(turn, [*system, *earlier, user_message(message)], {})) as events:
                async for event in events:
                    is_begun = True
                    if isinstance(event, Text):
                        answer.append(event.text)
                    yield event
        finally:
            if is_begun:
                said = (Said("user", message.text), Said("assistant", "".join(answer)))
                await self._keep(place, bounded((*before, *said)))

    async def open_conversation(self, agent: Agent) -> str:
        return await _opened(self._upstream, agent)

    async def close_conversation(self, conversation: str) -> None:
        await self._histories.forget(conversation)

    async def cancel(self, turn: Turn, run_id: str) -> None:
        self._upstream.cancel(run_id)

    async def close(self) -> None:
        await self._upstream.close()

    async def _keep(self, place: str, history: Sequence[Said]) -> None:
        try:
            await self._histories.write(place, history)
        except FailureError as error:
            # The client has its answer: that the model forgets it is no failure of this turn.
            logger.warning("What was said cannot be kept, so the model will not know it: %s", error)

    def _place(self, turn: Turn) -> str:
        return turn.conversation or f"{self._name}/{turn.agent.id}"


class AgentServerGateway:
    """Agents that remember by themselves, in one history each: only the message is sent."""

    def __init__(self, upstream: Upstream, system: str | None = None) -> None:
        self._upstream = upstream
        self._system = system

    async def agents(self) -> Sequence[Agent]:
        return await self._upstream.agents()

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        async with aclosing(_delivered(self._upstream, turn, self._system, {})) as events:
            async for event in events:
                yield event

    async def cancel(self, turn: Turn, run_id: str) -> None:
        self._upstream.cancel(run_id)

    async def close(self) -> None:
        await self._upstream.close()


class ChatServerGateway:
    """The same, with a header that tells the server which chat a message belongs to."""

    def __init__(self, upstream: Upstream, chat_header: str, system: str | None = None) -> None:
        self._upstream = upstream
        self._chat_header = chat_header
        self._system = system

    async def agents(self) -> Sequence[Agent]:
        return await self._upstream.agents()

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        headers = {} if turn.conversation is None else {self._chat_header: turn.conversation}
        async with aclosing(_delivered(self._upstream, turn, self._system, headers)) as events:
            async for event in events:
                yield event

    async def open_conversation(self, agent: Agent) -> str:
        return await _opened(self._upstream, agent)

    async def close_conversation(self, conversation: str) -> None:
        """There is no way to tell the server."""

    async def cancel(self, turn: Turn, run_id: str) -> None:
        self._upstream.cancel(run_id)

    async def close(self) -> None:
        await self._upstream.close()


def _delivered(
    upstream: Upstream, turn: Turn, system: str | None, headers: dict[str, str]
) -> AsyncGenerator[TurnEvent, None]:
    first = [{"role": "system", "content": system}] if system else []
    return upstream.run(turn, [*first, user_message(_message_of(turn))], headers)


def _message_of(turn: Turn) -> UserMessage:
    if turn.message is None:
        raise FailureError(Failure(FailureCode.UNSUPPORTED_CONTENT, Delivery.NO, "there is no message"))
    return turn.message


async def _opened(upstream: Upstream, agent: Agent) -> str:
    if agent.id not in {each.id for each in await upstream.agents()}:
        raise FailureError(Failure(FailureCode.MODEL_NOT_FOUND, Delivery.NO, f"no model {agent.id}"))
    return f"chat-{uuid.uuid4()}"
