"""A gateway without a backend, to build on: two agents that echo, and nothing but what every gateway has."""

from collections.abc import AsyncGenerator, Sequence

from domain.model.agent import Agent
from domain.model.events import Accepted, Ended, Text, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.turn import Turn

ECHOES = (Agent("agent-echo", "echo", 1), Agent("agent-parrot", "parrot", 2))


class EchoGateway:
    """`delivered` is what the agents have heard, oldest first. A subclass may have abilities beside it."""

    def __init__(self, agents: Sequence[Agent] = ECHOES) -> None:
        self.delivered: list[Turn] = []
        self.closed = False
        self._agents = agents

    async def agents(self) -> Sequence[Agent]:
        return self._agents

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        if turn.agent.id not in {agent.id for agent in self._agents}:
            raise FailureError(Failure(FailureCode.MODEL_NOT_FOUND, Delivery.NO))
        self.delivered.append(turn)
        yield Accepted()
        yield Text("You said: ")
        yield Text(turn.message.text if turn.message else "nothing")
        yield Ended()

    async def close(self) -> None:
        self.closed = True
