"""Keeps the roster fresh: served from memory at once, refreshed behind the request that finds it old."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from domain.model.agent import Agent, ConfiguredAgent
from domain.model.api_key import EVERYBODY, Caller
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.roster import Missing, Model, Roster, build
from ports.agent_gateway import AgentGateway

# Seconds. A refresh lists every agent; one that takes long is not repeated before this many times its own duration.
FRESH_FOR = 10.0
FRESH_FOR_REFRESHES = 20
# Seconds for which a name that the backend did not know is not looked up again, and how many such names are kept.
UNKNOWN_FOR = 5.0
UNKNOWN_KEPT = 1000
# Characters. No agent has a longer name.
LONGEST_NAME = 500

logger = logging.getLogger(__name__)


class RosterCache:
    """The roster of one gateway. All methods but `current_or_none` raise `FailureError`."""

    def __init__(
        self,
        gateway: AgentGateway,
        configured: Sequence[ConfiguredAgent] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._configured = configured
        self._clock = clock
        self._roster: Roster | None = None
        self._stale_at = 0.0
        self._unknown: dict[str | None, float] = {}
        self._looking_up = asyncio.Lock()
        self._refreshing: asyncio.Task[Roster] | None = None
        self._reported: tuple[Missing, ...] = ()

    @property
    def current_or_none(self) -> Roster | None:
        """What is known now, without asking anybody."""
        return self._roster

    async def current(self) -> Roster:
        """The roster; only the very first call waits for the backend."""
        if self._roster is None:
            return await self.refresh()
        if self._clock() >= self._stale_at:
            self._start_refresh()
        return self._roster

    async def refresh(self) -> Roster:
        """List the agents again. Calls that come together share one listing."""
        return await asyncio.shield(self._start_refresh())

    async def resolve(self, name: str | None, caller: Caller = EVERYBODY) -> Model:
        """The model that this caller asks for, which without a name is the first one that it may ask.

        Raises `model_not_found` when even the backend does not know it, and when it is not for this caller."""
        roster = await self.current()
        if not name and caller.agents:
            model = next(iter(roster.of(caller)), None)
        else:
            model = roster.resolve(name) or await self._look_up(name, roster)
        if model is None or not caller.may_ask(model.name, model.agent):
            raise FailureError(Failure(FailureCode.MODEL_NOT_FOUND, Delivery.NO))
        return model

    def forget(self, agent: Agent) -> None:
        """Take an agent off the roster that turned out to be gone; the next request starts a refresh."""
        if self._roster is not None:
            models = tuple(model for model in self._roster.models if model.agent.id != agent.id)
            by_name = {name: model for name, model in self._roster.by_name.items() if model.agent.id != agent.id}
            self._roster = Roster(models, self._roster.missing, by_name)
            self._stale_at = 0.0

    async def _look_up(self, name: str | None, roster: Roster) -> Model | None:
        # With agents configured, only those are on offer: a name that is not among them needs no look-up.
        if self._configured and name and not roster.missed(name):
            return None
        if name and (len(name) > LONGEST_NAME or "\0" in name):
            return None
        # One at a time, and each unknown name seldom: a client with a wrong name must not flood the backend.
        async with self._looking_up:
            if (known := (self._roster or roster).resolve(name)) is not None:
                return known
            if self._clock() < self._unknown.get(name, 0.0):
                return None
            model = await self._ask_for(name)
            if model is None:
                if len(self._unknown) >= UNKNOWN_KEPT:
                    self._unknown.clear()
                self._unknown[name] = self._clock() + UNKNOWN_FOR
            return model

    async def _ask_for(self, name: str | None) -> Model | None:
        if self._configured or not name:
            return (await self.refresh()).resolve(name)
        found = await self._gateway.find(name)
        if len(found) != 1:
            return None
        model = Model(name, found[0])
        if self._roster is not None:
            by_name = {name: model, **self._roster.by_name}
            self._roster = Roster(self._roster.models, self._roster.missing, by_name)
        self._stale_at = 0.0
        return model

    def _start_refresh(self) -> "asyncio.Task[Roster]":
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh())
            self._refreshing.add_done_callback(self._refreshed)
        return self._refreshing

    async def _refresh(self) -> Roster:
        started = self._clock()
        try:
            self._roster = build(await self._gateway.agents(), self._configured)
        finally:
            now = self._clock()
            self._stale_at = now + max(FRESH_FOR, FRESH_FOR_REFRESHES * (now - started))
        self._report(self._roster.missing)
        return self._roster

    def _refreshed(self, refresh: "asyncio.Task[Roster]") -> None:
        self._refreshing = None
        if not refresh.cancelled() and (error := refresh.exception()) is not None:
            logger.warning("The list of agents could not be refreshed: %s", error)

    def _report(self, missing: tuple[Missing, ...]) -> None:
        if missing == self._reported:
            return
        self._reported = missing
        for each in missing:
            wanted = f"name {each.wanted.name!r}" if not each.wanted.id else f"id {each.wanted.id}"
            if each.candidates:
                logger.warning(
                    "Several agents have the configured %s; put the id of one of them into the configuration: %s",
                    wanted,
                    ", ".join(each.candidates),
                )
            else:
                logger.warning("No agent has the configured %s; the other agents still work", wanted)
