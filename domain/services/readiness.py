"""Whether the service can do its job now, asked at most every other second however often it is asked."""

import asyncio
import time
from collections.abc import Callable

from domain.model.failures import Failure, FailureError
from domain.services.roster_cache import RosterCache
from ports.agent_gateway import AgentGateway

# Seconds. Anybody may ask, without a key: the backend must not feel it.
KEPT_FOR = 2.0


class Readiness:
    """Of one gateway."""

    def __init__(
        self, gateway: AgentGateway, rosters: RosterCache, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._gateway = gateway
        self._rosters = rosters
        self._clock = clock
        self._asking = asyncio.Lock()
        self._failure: Failure | None = None
        self._asked_at = -KEPT_FOR

    async def failure(self) -> Failure | None:
        """Why the backend is of no use now; None while it is well."""
        async with self._asking:
            if self._clock() - self._asked_at >= KEPT_FOR:
                self._failure = await self._ask()
                self._asked_at = self._clock()
        return self._failure

    def agents(self) -> int:
        """How many agents are on offer, as far as is known."""
        roster = self._rosters.current_or_none
        return len(roster.models) if roster else 0

    async def _ask(self) -> Failure | None:
        try:
            await self._gateway.check()
            await self._rosters.current()
        except FailureError as error:
            return error.failure
        return None
