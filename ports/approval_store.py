"""Who was asked to approve a tool call. tests/contract states what every store must do."""

from collections.abc import Collection, Set
from typing import Protocol

# Seconds.
KEPT_FOR = 30 * 24 * 3600.0


class ApprovalStore(Protocol):
    """Owners are ids of API keys. Questions are forgotten after `KEPT_FOR`.

    Every method raises `FailureError` (`state_unavailable`, nothing delivered) if it cannot be read or written."""

    async def keep(self, agent_id: str, call_ids: Collection[str], owner: str) -> None:
        """Remember that this owner was asked about these calls; who was asked first about one of them stays."""
        ...

    async def asked_of(self, agent_id: str, owner: str) -> Set[str]:
        """The ids of the agent's calls about which this owner was asked."""
        ...
