"""GET /api/v1/status: what the service is doing right now. Tells names of agents, so it needs the key."""

from collections import Counter
from typing import Any

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler

from domain.model.job import JobState
from domain.services.jobs import Jobs
from domain.services.roster_cache import RosterCache
from domain.services.turns import Turns
from entrypoints.http.auth import caller_of


class AgentStatus(msgspec.Struct, frozen=True):
    """The turns of one agent."""

    id: str
    running: int
    """Each is in a conversation of its own."""
    waiting: int
    """Those that wait for a conversation."""


class ServiceStatus(msgspec.Struct, frozen=True):
    """What the service is doing."""

    agents: dict[str, AgentStatus]
    """By model name, as far as they are for this API key."""
    conversations: int
    """Those in which a turn is running."""
    waiting: int
    """The turns that wait behind those, in all."""
    jobs: dict[JobState, int]
    """By state; everybody's."""


def status_handler(rosters: RosterCache, turns: Turns, jobs: Jobs) -> HTTPRouteHandler:
    @get("/status", summary="What the service is doing", tags=["LettaBot"])
    async def status(request: Request[Any, Any, Any]) -> ServiceStatus:
        """Agents on offer, conversations in use, how many turns wait, and jobs by state."""
        roster = await rosters.current()
        running, waiting = Counter[str](), Counter[str]()
        for (agent, _), behind in (await turns.queue_lengths()).items():
            running[agent] += 1
            waiting[agent] += behind
        agents = {
            model.name: AgentStatus(model.agent.id, running[model.agent.key], waiting[model.agent.key])
            for model in roster.of(caller_of(request.scope))
        }
        counts = await jobs.counts()
        return ServiceStatus(
            agents,
            sum(agent.running for agent in agents.values()),
            sum(agent.waiting for agent in agents.values()),
            {state: counts.get(state, 0) for state in JobState},
        )

    return status
