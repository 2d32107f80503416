"""Are the backends of use? Asked at most every two seconds, whoever wants to know."""

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec

from domain.model.failures import Failure, FailureError
from domain.services.backends import Backend, Backends
from domain.services.roster_cache import RosterCache

# Seconds. Anybody may ask, without a key: the backends must not feel it.
KEPT_FOR = 2.0


class BackendState(msgspec.Struct, frozen=True):
    """Of one backend, now."""

    name: str
    failure: Failure | None
    """Why it is of no use; None while it is well."""
    abilities: tuple[str, ...]
    """What it can do beside answering, in words."""
    since: float
    """Since when it is well, or of no use, as far as this process has looked; in seconds since 1970."""


class Readiness:
    """Of all backends."""

    def __init__(self, backends: Backends, rosters: RosterCache, clock: Callable[[], float] = time.monotonic) -> None:
        self._backends = backends
        self._rosters = rosters
        self._clock = clock
        self._asking = asyncio.Lock()
        self._states: Sequence[BackendState] = ()
        self._asked_at = -KEPT_FOR
        # By name: whether it is well, and since when.
        self._since: dict[str, tuple[bool, float]] = {}

    async def states(self) -> Sequence[BackendState]:
        """In the order of the configuration."""
        async with self._asking:
            if self._clock() - self._asked_at >= KEPT_FOR:
                self._states = await asyncio.gather(*(self._state(backend) for backend in self._backends))
                self._asked_at = self._clock()
        return self._states

    def agents(self) -> int:
        """How many agents are on offer, as far as is known."""
        roster = self._rosters.current_or_none
        return len(roster.models) if roster else 0

    async def _state(self, backend: Backend) -> BackendState:
        failure = None
        try:
            if backend.credential_check is None:
                await self._rosters.list_again(backend)
            else:
                await backend.credential_check.check()
                await self._rosters.current()
        except FailureError as error:
            failure = error.failure
        is_well, since = self._since.get(backend.name, (None, 0.0))
        if is_well is not (failure is None):
            since = time.time()
            self._since[backend.name] = failure is None, since
        return BackendState(backend.name, failure, backend.abilities, since)
