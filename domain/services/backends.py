"""The backends of the service: which there are, which one an agent belongs to, and what each can do."""

from collections.abc import Iterator, Sequence

import msgspec

from domain.model.agent import Agent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from ports.abilities import (
    AgentSearch,
    ChatConversations,
    ConversationForks,
    ConversationHistory,
    ConversationList,
    ConversationNames,
    CredentialCheck,
    Deduplication,
    RunCancellation,
    RunRecords,
    ToolApprovals,
    abilities_of,
)
from ports.agent_gateway import AgentGateway


class Backend(msgspec.Struct, frozen=True):
    """One backend, by the name that the operator gave it. An ability that it does not have is None."""

    name: str
    gateway: AgentGateway
    credential_check: CredentialCheck | None
    agent_search: AgentSearch | None
    run_cancellation: RunCancellation | None
    run_records: RunRecords | None
    deduplication: Deduplication | None
    conversations: ChatConversations | None
    forks: ConversationForks | None
    approvals: ToolApprovals | None
    history: ConversationHistory | None
    conversation_list: ConversationList | None
    conversation_names: ConversationNames | None
    abilities: tuple[str, ...]
    """What it can do, in words."""

    @classmethod
    def of(cls, name: str, gateway: AgentGateway) -> "Backend":
        """With the abilities that this gateway has the methods of."""
        return cls(
            name,
            gateway,
            gateway if isinstance(gateway, CredentialCheck) else None,
            gateway if isinstance(gateway, AgentSearch) else None,
            gateway if isinstance(gateway, RunCancellation) else None,
            gateway if isinstance(gateway, RunRecords) else None,
            gateway if isinstance(gateway, Deduplication) else None,
            gateway if isinstance(gateway, ChatConversations) else None,
            gateway if isinstance(gateway, ConversationForks) else None,
            gateway if isinstance(gateway, ToolApprovals) else None,
            gateway if isinstance(gateway, ConversationHistory) else None,
            gateway if isinstance(gateway, ConversationList) else None,
            gateway if isinstance(gateway, ConversationNames) else None,
            abilities_of(gateway),
        )


class Backends:
    """In the order of the configuration; at least one."""

    def __init__(self, backends: Sequence[Backend]) -> None:
        self._all = tuple(backends)
        # Agents of the first one do not name it, so that what was written when it was alone is found again.
        self._by_name = {backend.name: backend for backend in self._all} | {"": self._all[0]}

    def __iter__(self) -> Iterator[Backend]:
        return iter(self._all)

    def of(self, agent: Agent) -> Backend:
        """The one that runs this agent. Raises `FailureError`: a job may be older than the configuration."""
        if (backend := self._by_name.get(agent.backend)) is None:
            raise FailureError(Failure(FailureCode.MODEL_NOT_FOUND, Delivery.NO, "its backend is not configured"))
        return backend

    def owned(self, backend: Backend, agent: Agent) -> Agent:
        """An agent that this backend has listed, with a mark of it."""
        if backend is self._all[0]:
            return agent
        return msgspec.structs.replace(agent, backend=backend.name)

    def agent_of(self, key: str) -> Agent:
        """The agent that has this key, as far as the key tells of it: its id and its backend."""
        for backend in self._all:
            if key.startswith(f"{backend.name}/"):
                return Agent(key.removeprefix(f"{backend.name}/"), "", 0, backend.name)
        return Agent(key, "", 0)
