"""What some backends can do beside what every one does (agent_gateway.py). A gateway has an ability by having its
methods; each raises `FailureError` when the backend fails. What is done without it is said with each."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from domain.model.agent import Agent
from domain.model.events import ApprovalRequest
from domain.model.history import ConversationSummary, HistoryEntry
from domain.model.run_record import RunRecord, RunSearch
from domain.model.turn import Turn


class CannotDeduplicateError(Exception):
    """This turn wants to be deduplicated, and cannot be; it was not delivered."""


@runtime_checkable
class CredentialCheck(Protocol):
    """Without it, the list of agents is asked for instead."""

    async def check(self) -> None:
        """Return if the backend is reachable and takes our credential."""
        ...


@runtime_checkable
class AgentSearch(Protocol):
    """Without it, an unknown name is looked for in a new list of all agents."""

    async def find(self, name_or_id: str) -> Sequence[Agent]:
        """The agents that have exactly this name or this id: none, one, or (a name shared by many) several."""
        ...


@runtime_checkable
class RunCancellation(Protocol):
    """Without it, an agent whose client hangs up finishes its turn."""

    async def cancel(self, turn: Turn, run_id: str) -> None:
        """Ask the backend to stop this run, which `Accepted` has named; its events then end, soon, with the failure
        `cancelled`."""
        ...


@runtime_checkable
class RunRecords(Protocol):
    """Without them, what an answer lacks after its connection broke cannot be had, and nobody can know more of its
    message's fate than the failure says."""

    @property
    def stop_recorded_within(self) -> float:
        """Seconds after which the backend has written down what a stopped run leaves behind."""
        ...

    async def record(self, turn: Turn, run_id: str) -> RunRecord | None:
        """What has become of this run, and so of the message of that turn; None: the backend knows no such run."""
        ...

    async def find_run(self, turn: Turn) -> RunSearch:
        """The run of the delivery that this turn's delivery id names, in the turn's conversation."""
        ...


@runtime_checkable
class Deduplication(Protocol):
    """`run` recognises a delivery id, for turns that are `deduplicated`; it may raise `CannotDeduplicateError` as well.
    Without it, a message that may have been delivered is never sent again."""

    @property
    def delivery_ids_remembered_for(self) -> float:
        """Seconds for which a delivery id is recognised; 0: it never is."""
        ...

    @property
    def deduplicates_all(self) -> bool:
        """Whether the ids of all turns are recognised, also of those that are not `deduplicated`."""
        ...


@runtime_checkable
class ChatConversations(Protocol):
    """Without them, a request with a chat key is refused (`chats_not_supported`)."""

    async def open_conversation(self, agent: Agent) -> str:
        """A new conversation with a history of its own."""
        ...

    async def close_conversation(self, conversation: str) -> None:
        """Delete a conversation that nobody needs any more."""
        ...


@runtime_checkable
class ConversationForks(Protocol):
    """Without it, a chat whose conversation is stuck (`conversation_stuck`) cannot go on."""

    async def fork_conversation(self, agent: Agent, conversation: str) -> str:
        """A new conversation that begins with the history of that one. Raises `FailureError` (`conversation_gone`) if
        this agent has no such conversation."""
        ...


@runtime_checkable
class ConversationList(Protocol):
    """Without it, nobody can see which conversations an agent has."""

    async def conversations(self, agent: Agent, most: int, after: str | None = None) -> Sequence[ConversationSummary]:
        """The conversations of this agent, so many at most, the newest first, its default history not among them.
        `after`: only those that come after that one; none, if there is no such one."""
        ...


@runtime_checkable
class ConversationNames(Protocol):
    """Without it, conversations keep the summary that they have."""

    async def rename_conversation(self, agent: Agent, conversation: str, summary: str) -> None:
        """Give it this summary, which is valid Unicode without NUL. Raises `FailureError` (`conversation_gone`) if this
        agent has no such conversation."""
        ...


@runtime_checkable
class ToolApprovals(Protocol):
    """`run` yields `ApprovalRequest` and takes a verdict. Without it, tools need no approval."""

    async def approvals(self, turn: Turn) -> Sequence[ApprovalRequest]:
        """The tool calls that wait for approval in the conversation of this turn."""
        ...


@runtime_checkable
class ConversationHistory(Protocol):
    """Without it, of a conversation only that can be listed which clients have put into it themselves."""

    async def read_history(
        self, agent: Agent, conversation: str | None, most: int, before: str | None = None
    ) -> Sequence[HistoryEntry]:
        """The newest entries of this conversation (None: the agent's default history), so many at most, the oldest
        first. `before`: only those before the entry with that id; none, if there is no such one. Of a conversation that
        this agent does not have: nothing, or `FailureError` (`conversation_gone`)."""
        ...


ABILITIES: Mapping[str, type] = {
    "check credential": CredentialCheck,
    "find by name": AgentSearch,
    "stop runs": RunCancellation,
    "records of runs": RunRecords,
    "deduplicate": Deduplication,
    "conversations": ChatConversations,
    "list of conversations": ConversationList,
    "names of conversations": ConversationNames,
    "forks": ConversationForks,
    "approvals": ToolApprovals,
    "history": ConversationHistory,
}
"""By their names for people."""


def abilities_of(gateway: object) -> tuple[str, ...]:
    """The names for people of what this gateway can do."""
    return tuple(name for name, ability in ABILITIES.items() if isinstance(gateway, ability))
