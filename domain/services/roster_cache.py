"""Keeps the roster fresh: served from memory at once, refreshed behind the request that finds it old."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from domain.model.agent import Agent, ConfiguredAgent
from domain.model.api_key import EVERYBODY, Caller
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.roster import Missing, Model, Roster, build, qualified
from domain.services.agent_list import AgentList
from domain.services.backends import Backend, Backends

# Seconds for which a name that no backend knew is not looked up again, and how many such names are kept.
UNKNOWN_FOR = 5.0
UNKNOWN_KEPT = 1000
# Characters. No agent has a longer name.
LONGEST_NAME = 500

logger = logging.getLogger(__name__)


class RosterCache:
    """The agents of all backends. A backend that is away keeps those that it had. All methods but `current_or_none`
    raise `FailureError`."""

    def __init__(
        self,
        backends: Backends,
        configured: Sequence[ConfiguredAgent] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lists = [AgentList(backend, backends.owned, self._rebuild, clock) for backend in backends]
        self._first = self._lists[0].backend.name
        self._configured = configured
        self._clock = clock
        self._roster: Roster | None = None
        self._unknown: dict[str | None, float] = {}
        self._looking_up = asyncio.Lock()
        self._reported: tuple[Missing, ...] = ()

    @property
    def current_or_none(self) -> Roster | None:
        """What is known now, without asking anybody."""
        return self._roster

    async def current(self) -> Roster:
        """The roster; only the very first call waits for the backends."""
        if self._roster is None:
            return await self.refresh()
        for each in self._lists:
            each.refresh_if_stale()
        return self._roster

    async def refresh(self) -> Roster:
        """List the agents of all backends again. Raises only if none of them answers."""
        results = await asyncio.gather(*(each.refresh() for each in self._lists), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, FailureError):
                raise result
        failures = [result for result in results if isinstance(result, FailureError)]
        if len(failures) == len(self._lists) or self._roster is None:
            raise failures[0]
        return self._roster

    async def list_again(self, backend: Backend) -> None:
        """Ask this backend for its agents."""
        [agents] = [each for each in self._lists if each.backend is backend]
        await agents.refresh()

    async def resolve(self, name: str | None, caller: Caller = EVERYBODY) -> Model:
        """The model that this caller asks for, which without a name is the first one that it may ask.

        Raises `model_not_found` when no backend knows it, and when it is not for this caller; while a backend has
        never been reached, which may know it, that backend's failure."""
        roster = await self.current()
        if not name and caller.agents:
            model = next(iter(roster.of(caller)), None)
        elif not name:
            model = await self._first_model(roster)
        else:
            model = roster.resolve(name) or await self._look_up(name, roster)
        if model is None:
            raise FailureError(self._unreached() or Failure(FailureCode.MODEL_NOT_FOUND, Delivery.NO))
        if not caller.may_ask(model.name, model.agent):
            raise FailureError(Failure(FailureCode.MODEL_NOT_FOUND, Delivery.NO))
        return model

    def forget(self, agent: Agent) -> None:
        """Take an agent off the roster that turned out to be gone; the next request starts a refresh."""
        if self._roster is not None:
            for each in self._lists:
                if agent in each.agents:
                    each.forget(agent)
            self._rebuild()

    def _unreached(self) -> Failure | None:
        return next((each.unreached for each in self._lists if each.unreached is not None), None)

    async def _first_model(self, roster: Roster) -> Model | None:
        """The first one of the configuration, even if its backend is away: never another one instead."""
        if self._configured:
            is_known = not roster.missed(self._configured[0].name) and not roster.missed(self._configured[0].id)
        else:
            is_known = self._lists[0].unreached is None
        if not is_known and (unreached := self._unreached()) is not None:
            raise FailureError(unreached)
        return roster.resolve(None) or await self._look_up(None, roster)

    async def _look_up(self, name: str | None, roster: Roster) -> Model | None:
        # With agents configured, only those are on offer: a name that is not among them needs no look-up.
        if self._configured and name and not roster.missed(name):
            return None
        if name and (len(name) > LONGEST_NAME or "\0" in name):
            return None
        # One at a time, and each unknown name seldom: a client with a wrong name must not flood the backends.
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
        results = await asyncio.gather(*(self._find(each, name) for each in self._lists), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and (len(results) == 1 or not isinstance(result, FailureError)):
                raise result
        for each, found in zip(self._lists, results, strict=True):
            if not isinstance(found, BaseException) and len(found) == 1:
                model = Model(name, found[0])
                if self._roster is not None:
                    by_name = {name: model, **self._roster.by_name}
                    self._roster = Roster(self._roster.models, self._roster.missing, by_name)
                each.mark_stale()
                return model
        return None

    async def _find(self, agents: AgentList, name: str) -> Sequence[Agent]:
        found = await agents.find(name)
        own = name.removeprefix(qualified(agents.backend.name, ""))
        return found or (await agents.find(own) if own and own != name else ())

    def _rebuild(self) -> None:
        agents = [agent for each in self._lists for agent in each.agents]
        self._roster = build(agents, self._configured, self._first)
        if self._unreached() is None:
            self._report(self._roster.missing)

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
