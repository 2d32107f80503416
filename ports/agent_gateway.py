"""How the domain reaches whatever runs agents: what every backend does. What some can do beside it: abilities.py."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from domain.model.agent import Agent
from domain.model.events import TurnEvent
from domain.model.turn import Turn


class AgentGateway(Protocol):
    """One backend. Every method raises `FailureError` when the backend fails. ports/contract states what each must do.

    With these methods alone, agents are listed and talked to, and the truth is told about each delivery."""

    async def agents(self) -> Sequence[Agent]:
        """All agents, oldest first, each id once."""
        ...

    def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        """Deliver the turn, once, and yield its events up to and with `Ended`.

        A failure is raised, at whatever point it comes. Its delivery is unknown, unless the backend has refused the
        message before it began with it, or has yielded what it yields only after it has stored the message. Surely not
        delivered, and worth another try, are: `conversation_busy`, `conversation_gone`, and `approval_pending`. After
        `connection_lost` and `delivery_unknown` the run may go on; after any other it has ended.
        `answer_incomplete`: something could not be read, and what followed was held back; or, if it is delivered,
        nothing was held back, and what could not be read was perhaps nothing.
        Closing the generator early is a hang-up: it frees the connection, and neither delivers again nor cancels what
        the agent does.

        `Turn.conversation`, `verdict` and `deduplicated` are set only for a backend that has the ability."""
        ...

    async def close(self) -> None:
        """Free connections and files."""
        ...
