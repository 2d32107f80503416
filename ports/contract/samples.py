"""The messages that the contract sends, and what it sees of a turn."""

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import aclosing

import msgspec

from domain.model.agent import Agent
from domain.model.events import Accepted, Ended, Failed, Text, ToolCall, TurnEvent
from domain.model.turn import Turn, UserMessage
from ports.agent_gateway import AgentGateway

NOBODY = Agent("agent-00000000-0000-4000-8000-ffffffffffff", "nobody", 0)
# Seconds.
TURN_ENDS_WITHIN = 60


class Samples(msgspec.Struct, frozen=True):
    """Messages of which is known what the agents make of them."""

    plain: str
    """Is answered in text alone."""
    plain_says: str
    """Stands in that answer, and in no other."""
    tool: str = ""
    """Is answered with the help of a tool that the agent runs."""
    tool_says: str = ""
    slow: str = ""
    """Is answered for ten seconds at least, if nobody stops it."""


async def events_of(gateway: AgentGateway, agent: Agent, text: str) -> Sequence[TurnEvent]:
    """All events of one turn, which must end within a minute."""
    return await events_of_turn(gateway, Turn(agent, UserMessage(text), delivery_id=new_delivery_id()))


async def events_of_turn(gateway: AgentGateway, turn: Turn) -> Sequence[TurnEvent]:
    """The same of a turn that says more."""
    async with asyncio.timeout(TURN_ENDS_WITHIN), aclosing(gateway.run(turn)) as events:
        return [event async for event in events]


def new_delivery_id() -> str:
    return str(uuid.uuid4())


def text_of(events: Sequence[TurnEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def calls_of(events: Sequence[TurnEvent]) -> dict[str, list[ToolCall]]:
    """The pieces of each tool call, in order, by call id."""
    calls: dict[str, list[ToolCall]] = {}
    for event in events:
        if isinstance(event, ToolCall):
            calls.setdefault(event.call_id, []).append(event)
    return calls


def assert_well_formed(events: Sequence[TurnEvent]) -> None:
    """Accepted first, ended last, each once; a failure is raised, not yielded."""
    assert isinstance(events[0], Accepted)
    assert isinstance(events[-1], Ended)
    assert [type(event) for event in events].count(Accepted) == 1
    assert [type(event) for event in events].count(Ended) == 1
    assert not any(isinstance(event, Failed) for event in events), "a failure is raised, not yielded"
