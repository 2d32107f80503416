"""An approval store in memory: forgotten with the process."""

import time
from collections import OrderedDict
from collections.abc import Collection, Set

from ports.approval_store import KEPT_FOR

# Calls. The oldest go first.
KEPT = 10_000


class MemoryApprovalStore:
    """`ports.ApprovalStore`."""

    def __init__(self, kept: int = KEPT) -> None:
        self._owners: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()
        self._kept = kept

    async def keep(self, agent_id: str, call_ids: Collection[str], owner: str) -> None:
        for call_id in call_ids:
            self._owners.setdefault((agent_id, call_id), (owner, time.time()))
            if len(self._owners) > self._kept:
                self._owners.popitem(last=False)

    async def asked_of(self, agent_id: str, owner: str) -> Set[str]:
        oldest = time.time() - KEPT_FOR
        return {
            call_id
            for (of_agent, call_id), (asked, at) in self._owners.items()
            if of_agent == agent_id and asked == owner and at >= oldest
        }
