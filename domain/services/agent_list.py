"""The agents of one backend, as it has listed them last. Whoever finds the list old has it refreshed."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from domain.model.agent import Agent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.services.backends import Backend

# Seconds. A refresh lists every agent; one that takes long is not repeated before this many times its own duration.
FRESH_FOR = 10.0
FRESH_FOR_REFRESHES = 20

logger = logging.getLogger(__name__)


class AgentList:
    """`owned` marks an agent as this backend's; `on_change` is called after each listing."""

    def __init__(
        self,
        backend: Backend,
        owned: Callable[[Backend, Agent], Agent],
        on_change: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self.backend = backend
        self._owned = owned
        self._on_change = on_change
        self._clock = clock
        self._agents: Sequence[Agent] | None = None
        self._failure = Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO, "it was not asked yet")
        self._stale_at = 0.0
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def agents(self) -> Sequence[Agent]:
        """Those of the last list that came."""
        return self._agents or ()

    @property
    def unreached(self) -> Failure | None:
        """Why no list has ever come; None if one has."""
        return self._failure if self._agents is None else None

    async def refresh(self) -> None:
        """List the agents again. Calls that come together share one listing. Raises `FailureError`."""
        await asyncio.shield(self._start())

    def refresh_if_stale(self) -> None:
        """In the background."""
        if self._clock() >= self._stale_at:
            self._start()

    def mark_stale(self) -> None:
        """There is a sign that it has changed."""
        self._stale_at = 0.0

    def forget(self, agent: Agent) -> None:
        """That one is gone; the list has to be refreshed."""
        self._agents = [known for known in self.agents if known.id != agent.id]
        self._stale_at = 0.0

    async def find(self, name: str) -> Sequence[Agent]:
        """Ask the backend for the agents of that name or id. Raises `FailureError`."""
        if (search := self.backend.agent_search) is not None:
            return [self._owned(self.backend, agent) for agent in await search.find(name)]
        await self.refresh()
        return [agent for agent in self.agents if name in (agent.name, agent.id)]

    def _start(self) -> "asyncio.Task[None]":
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh())
            self._refreshing.add_done_callback(self._refreshed)
        return self._refreshing

    async def _refresh(self) -> None:
        started = self._clock()
        try:
            listed = await self.backend.gateway.agents()
            self._agents = [self._owned(self.backend, agent) for agent in listed]
        except FailureError as error:
            self._failure = error.failure
            raise
        finally:
            now = self._clock()
            self._stale_at = now + max(FRESH_FOR, FRESH_FOR_REFRESHES * (now - started))
        self._on_change()

    def _refreshed(self, refresh: "asyncio.Task[None]") -> None:
        self._refreshing = None
        if not refresh.cancelled() and (error := refresh.exception()) is not None:
            logger.warning("The list of agents could not be refreshed: %s", error, extra={"backend": self.backend.name})
