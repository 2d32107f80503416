"""Which agents a Letta server has."""

import asyncio
import logging
import math
import re
from collections.abc import Sequence
from typing import Literal

import msgspec
from letta_client import APIStatusError, AsyncLetta, Omit, omit

from adapters.letta import client
from adapters.letta.agents import agent_in, agents_in
from adapters.letta.client import BRIEF
from adapters.letta.failures import LETTA_ERRORS, failure_of_list, failure_of_question
from adapters.letta.foreign_responses import knows_no_agent, not_letta
from domain.model.agent import Agent
from domain.model.failure_table import FailureCode
from domain.model.failures import FailureError

PAGE = 100
# Seconds for all pages of a list.
LIST_WITHIN = 60.0
MOST_AGENTS = 100_000

_AGENT_ID = re.compile(r"agent-[0-9a-fA-F-]{36}")

logger = logging.getLogger(__name__)


class AgentDirectory:
    """Of one server. All methods raise `FailureError`."""

    def __init__(self, client: AsyncLetta) -> None:
        self._client = client

    async def all(self) -> Sequence[Agent]:
        """All pages. Letta answers an unknown cursor with the first page: a repeated id is the end as well.

        Those whose age is not known come last."""
        agents: dict[str, Agent] = {}
        try:
            async with asyncio.timeout(LIST_WITHIN):
                await self._all_pages(agents)
        except TimeoutError as error:
            raise FailureError(failure_of_question(error)) from error
        return sorted(agents.values(), key=lambda agent: agent.created_at or math.inf)

    async def _all_pages(self, agents: dict[str, Agent]) -> None:
        after: str | None = None
        while len(agents) < MOST_AGENTS:
            page = await self._list(order="asc", limit=PAGE, after=after or omit)
            new = [agent for agent in page if agent.id not in agents]
            agents.update((agent.id, agent) for agent in new)
            if not page or len(new) < len(page):
                return
            after = page[-1].id
        logger.warning("Letta's list of agents has no end; the first %d are offered", len(agents))

    async def find(self, name_or_id: str) -> Sequence[Agent]:
        """The agents that have this name or this id."""
        if "\0" in name_or_id:
            # No such name can exist, and Letta's database fails when it is asked for one.
            return []
        if not _AGENT_ID.fullmatch(name_or_id):
            return await self._list(name=name_or_id, limit=PAGE)
        try:
            async with asyncio.timeout(client.ANSWER_WITHIN):
                answer = await self._client.agents.with_raw_response.retrieve(name_or_id, **BRIEF)
                agent = agent_in(await answer.read())
        except APIStatusError as error:
            if knows_no_agent(error):
                return []
            raise FailureError(failure_of_question(error)) from error
        except LETTA_ERRORS as error:
            raise FailureError(failure_of_question(error)) from error
        if agent is None:
            raise FailureError(not_letta("an answer that is no agent"))
        return [agent]

    async def check(self) -> None:
        """Lists one agent: Letta's health route answers without a key even where a key is asked for."""
        try:
            await self._list(limit=1)
        except FailureError as error:
            if error.failure.code is not FailureCode.UPSTREAM_UNEXPECTED:
                raise
            # That one agent may be odd.
            await self._list(limit=PAGE)

    async def _list(
        self,
        limit: int,
        order: Literal["asc"] | Omit = omit,
        after: str | Omit = omit,
        name: str | Omit = omit,
    ) -> list[Agent]:
        # Read raw: letta-client's own models cost milliseconds of CPU per agent, for fields that nobody needs here.
        agents = self._client.agents.with_raw_response
        try:
            async with asyncio.timeout(client.ANSWER_WITHIN):
                answer = await agents.list(limit=limit, order=order, after=after, name=name, **BRIEF)
                page = agents_in(await answer.read())
        except (*LETTA_ERRORS, msgspec.DecodeError) as error:
            raise FailureError(failure_of_list(error)) from error
        readable = [agent for agent in page if agent is not None]
        # On a later page, some agents could be read before.
        if page and not readable and after is omit:
            raise FailureError(not_letta("a list of no agents"))
        if len(readable) < len(page):
            logger.warning("%d of Letta's agents cannot be read, and are not offered", len(page) - len(readable))
        return readable
