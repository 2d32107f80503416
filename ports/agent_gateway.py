"""How the domain reaches whatever runs agents. tests/contract states what every gateway must do."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from domain.model.agent import Agent
from domain.model.events import TurnEvent
from domain.model.turn import Turn


class AgentGateway(Protocol):
    """Every method raises `BackendError` when the backend fails; nothing else is expected to come out."""

    async def agents(self) -> Sequence[Agent]:
        """All agents, oldest first, each id once."""
        ...

    async def find(self, name_or_id: str) -> Sequence[Agent]:
        """The agents that have exactly this name or this id: none, one, or (a name shared by many) several."""
        ...

    async def check(self) -> None:
        """Return if the backend is reachable and takes our credential."""
        ...

    def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        """Deliver the user message, once, and yield the events of the turn up to and with `Ended`.

        A failure is raised, at whatever point it comes. Closing the generator early is a hang-up: it frees the
        connection, and neither delivers again nor cancels what the agent does."""
        ...

    async def close(self) -> None:
        """Free connections and files."""
        ...
