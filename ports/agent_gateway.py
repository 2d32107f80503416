"""How the domain reaches whatever runs agents. tests/contract states what every gateway must do."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import msgspec

from domain.model.agent import Agent
from domain.model.events import ApprovalRequest, TurnEvent
from domain.model.turn import Turn


class RunRecord(msgspec.Struct, frozen=True):
    """What the backend has stored of a run."""

    over: bool
    """Whether nothing more will come. Then the last event is `Ended` or `Failed`."""
    remembered: bool
    """Whether the agent remembers the message (or the verdict, without one), whatever became of the rest."""
    events: tuple[TurnEvent, ...]
    """Those of the steps that are finished."""


class RunSearch(msgspec.Struct, frozen=True):
    """What the backend knows of a delivery."""

    run_id: str | None = None
    """The run that it led to. None: none was found."""
    undecided: bool = False
    """Whether a run is going on there that does not say yet which delivery it belongs to."""
    has_similar: bool = False
    """Whether no stored message has the delivery id, but one with the same text has none, and may be this one."""


class CannotDeduplicateError(Exception):
    """This turn wants to be deduplicated, and cannot be; it was not delivered."""


class AgentGateway(Protocol):
    """Every method raises `FailureError` when the backend fails; `run` may raise `CannotDeduplicateError` as well.

    Runs have ids where the backend can be asked about them: `cancel` and `record` are only called with such ids."""

    @property
    def delivery_ids_remembered_for(self) -> float:
        """Seconds for which the backend recognises a deduplicated turn by its delivery id; 0: it never does."""
        ...

    @property
    def stop_recorded_within(self) -> float:
        """Seconds after which the backend has written down what a stopped run leaves behind."""
        ...

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
        """Deliver the turn, once, and yield its events up to and with `Ended`.

        A failure is raised, at whatever point it comes. Its delivery is unknown, unless the backend has refused the
        message before it began with it, or has yielded what it yields only after it has stored the message. Surely not
        delivered, and worth another try, are: `conversation_busy`, `conversation_gone`, and `approval_pending`. After
        `connection_lost` and `delivery_unknown` the run may go on; after any other it has ended.
        `answer_incomplete`: something could not be read, and what followed was held back; or, if it is delivered,
        nothing was held back, and what could not be read was perhaps nothing.
        Closing the generator early is a hang-up: it frees the connection, and neither delivers again nor cancels what
        the agent does."""
        ...

    async def cancel(self, turn: Turn, run_id: str) -> None:
        """Ask the backend to stop this run; its events then end, soon, with the failure `cancelled`."""
        ...

    async def record(self, turn: Turn, run_id: str) -> RunRecord | None:
        """What has become of this run, and so of the message of that turn; None: the backend knows no such run."""
        ...

    async def find_run(self, turn: Turn) -> RunSearch:
        """The run of the delivery that this turn's delivery id names, in the turn's conversation."""
        ...

    async def approvals(self, turn: Turn) -> Sequence[ApprovalRequest]:
        """The tool calls that wait for approval in the conversation of this turn."""
        ...

    async def open_conversation(self, agent: Agent) -> str:
        """A new conversation with a history of its own."""
        ...

    async def close_conversation(self, conversation: str) -> None:
        """Delete a conversation that nobody needs any more."""
        ...

    async def close(self) -> None:
        """Free connections and files."""
        ...
