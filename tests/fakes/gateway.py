"""A gateway that follows a script: events, pauses and failures, chosen by the text of the user message."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

from domain.model.agent import Agent
from domain.model.events import Accepted, Ended, Text, TurnEvent
from domain.model.failures import BackendError, Delivery, Failure, FailureCode
from domain.model.turn import Turn

Step = TurnEvent | float | Failure
"""A float is a pause in seconds; a failure is raised; an event is yielded."""

ANNA = Agent("agent-00000000-0000-4000-8000-00000000000a", "anna", 1_700_000_000)
BERT = Agent("agent-00000000-0000-4000-8000-00000000000b", "bert", 1_700_000_060)


class FakeGateway:
    """Everything is public: tests set `known`, `answers` and `down`, and read what happened from the lists.

    A script is played as it is, so it says `Accepted` and `Ended` itself. A message without a script is echoed."""

    def __init__(
        self, agents: Sequence[Agent] = (ANNA, BERT), answers: Mapping[str, Sequence[Step]] | None = None
    ) -> None:
        self.known = list(agents)
        self.answers = dict(answers or {})
        self.down: Failure | None = None
        self.delivered: list[Turn] = []
        self.closed_early: list[Turn] = []
        self.listings = 0
        self.lookups: list[str] = []
        self.closed = False

    async def agents(self) -> Sequence[Agent]:
        self.listings += 1
        await self.check()
        return sorted(self.known, key=lambda agent: agent.created_at)

    async def find(self, name_or_id: str) -> Sequence[Agent]:
        self.lookups.append(name_or_id)
        await self.check()
        return [agent for agent in self.known if name_or_id in (agent.name, agent.id)]

    async def check(self) -> None:
        if self.down is not None:
            raise BackendError(self.down)

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        await self.check()
        if turn.agent.id not in {agent.id for agent in self.known}:
            raise BackendError(Failure(FailureCode.MODEL_NOT_FOUND, Delivery.NO))
        script = self.answers.get(turn.message.text, echo(turn))
        if not any(isinstance(step, Failure) and step.delivery is Delivery.NO for step in script):
            self.delivered.append(turn)
        over = False
        try:
            for step in script:
                over = isinstance(step, Ended | Failure)
                if isinstance(step, float | int):
                    await asyncio.sleep(step)
                elif isinstance(step, Failure):
                    raise BackendError(step)
                else:
                    yield step
            over = True
        finally:
            if not over:
                self.closed_early.append(turn)

    async def close(self) -> None:
        self.closed = True


def echo(turn: Turn) -> Sequence[Step]:
    """The answer to a message that has no script."""
    return (Accepted("run-fake"), Text("You said: "), Text(turn.message.text), Ended())
