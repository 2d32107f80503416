"""What every `AgentGateway` must do. A test module subclasses the contract and gives it two fixtures:

`gateway`, with at least two agents, and `samples`, messages of which is known what the agents make of them."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing

import msgspec
import pytest

from domain.model.agent import Agent
from domain.model.events import Accepted, Ended, Failed, Text, ToolCall, ToolResult, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, FailureError
from domain.model.turn import Turn, UserMessage
from ports.agent_gateway import AgentGateway

NOBODY = Agent("agent-00000000-0000-4000-8000-ffffffffffff", "nobody", 0)


class Samples(msgspec.Struct, frozen=True):
    """`plain` is answered in text alone, `tool` with the help of a tool; what the answers say tells them apart."""

    plain: str
    plain_says: str
    tool: str
    tool_says: str


async def events_of(gateway: AgentGateway, agent: Agent, text: str) -> Sequence[TurnEvent]:
    """All events of one turn; it must end within 30 seconds."""
    async with asyncio.timeout(30), aclosing(gateway.run(Turn(agent, UserMessage(text)))) as events:
        return [event async for event in events]


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
    assert isinstance(events[0], Accepted)
    assert isinstance(events[-1], Ended)
    assert [type(event) for event in events].count(Accepted) == 1
    assert [type(event) for event in events].count(Ended) == 1
    assert not any(isinstance(event, Failed) for event in events), "a failure is raised, not yielded"


@pytest.mark.anyio
class AgentGatewayContract:
    async def test_agents_are_listed_oldest_first_and_each_id_once(self, gateway: AgentGateway) -> None:
        agents = await gateway.agents()
        assert len(agents) >= 2, "the fixture must offer two agents"
        assert [agent.created_at for agent in agents] == sorted(agent.created_at for agent in agents)
        assert len({agent.id for agent in agents}) == len(agents)

    async def test_agents_are_the_same_when_asked_again(self, gateway: AgentGateway) -> None:
        assert list(await gateway.agents()) == list(await gateway.agents())

    async def test_an_agent_is_found_by_its_id(self, gateway: AgentGateway) -> None:
        for agent in (await gateway.agents())[:2]:
            assert list(await gateway.find(agent.id)) == [agent]

    async def test_all_agents_of_exactly_that_name_are_found(self, gateway: AgentGateway) -> None:
        agents = await gateway.agents()
        for name in {agent.name for agent in agents[:2]}:
            found = await gateway.find(name)
            assert {agent.id for agent in found} == {agent.id for agent in agents if agent.name == name}

    async def test_a_part_of_a_name_finds_nobody(self, gateway: AgentGateway) -> None:
        agent = (await gateway.agents())[0]
        assert agent not in await gateway.find(agent.name[:-1])

    async def test_an_unknown_name_or_id_finds_nobody(self, gateway: AgentGateway) -> None:
        assert list(await gateway.find("no agent has this name / at all")) == []
        assert list(await gateway.find(NOBODY.id)) == []

    async def test_check_returns_while_all_is_well(self, gateway: AgentGateway) -> None:
        await gateway.check()

    async def test_a_plain_turn_is_accepted_then_text_then_ended_once(
        self, gateway: AgentGateway, samples: Samples
    ) -> None:
        events = await events_of(gateway, (await gateway.agents())[0], samples.plain)
        assert_well_formed(events)
        assert samples.plain_says in text_of(events)
        assert not calls_of(events)

    async def test_a_tool_turn_is_well_formed_too(self, gateway: AgentGateway, samples: Samples) -> None:
        events = await events_of(gateway, (await gateway.agents())[0], samples.tool)
        assert_well_formed(events)
        assert samples.tool_says in text_of(events)

    async def test_a_tool_call_is_its_name_once_then_pieces_of_valid_json(
        self, gateway: AgentGateway, samples: Samples
    ) -> None:
        events = await events_of(gateway, (await gateway.agents())[0], samples.tool)
        calls = calls_of(events)
        assert calls, "the sample must use a tool"
        for call_id, pieces in calls.items():
            assert call_id
            assert [bool(piece.name) for piece in pieces] == [True] + [False] * (len(pieces) - 1)
            assert isinstance(json.loads("".join(piece.arguments for piece in pieces)), dict)

    async def test_a_tool_result_answers_each_call_after_it_was_made(
        self, gateway: AgentGateway, samples: Samples
    ) -> None:
        events = await events_of(gateway, (await gateway.agents())[0], samples.tool)
        for call_id in calls_of(events):
            pieces = [at for at, event in enumerate(events) if isinstance(event, ToolCall) and event.call_id == call_id]
            results = [
                at for at, event in enumerate(events) if isinstance(event, ToolResult) and event.call_id == call_id
            ]
            assert len(results) == 1
            assert results[0] > pieces[-1]

    async def test_an_unknown_agent_is_a_failure_and_surely_nothing_was_delivered(
        self, gateway: AgentGateway, samples: Samples
    ) -> None:
        for text in (samples.plain, samples.tool):
            with pytest.raises(FailureError) as raised:
                await events_of(gateway, NOBODY, text)
            assert raised.value.failure.code is FailureCode.MODEL_NOT_FOUND
            assert raised.value.failure.delivery is Delivery.NO

    async def test_a_turn_that_nobody_started_can_be_closed(self, gateway: AgentGateway, samples: Samples) -> None:
        turn = Turn((await gateway.agents())[0], UserMessage(samples.plain))
        await gateway.run(turn).aclose()

    async def test_after_a_hang_up_the_gateway_goes_on_to_serve(self, gateway: AgentGateway, samples: Samples) -> None:
        first, second = (await gateway.agents())[:2]
        for text in (samples.plain, samples.tool):
            events = gateway.run(Turn(first, UserMessage(text)))
            assert isinstance(await anext(events), Accepted)
            await events.aclose()
            with pytest.raises(StopAsyncIteration):
                await anext(events)
        await gateway.check()
        # Of the second agent: the first may still be busy with what it was told.
        assert_well_formed(await events_of(gateway, second, samples.plain))

    async def test_a_reader_that_is_cancelled_takes_nobody_along(self, gateway: AgentGateway, samples: Samples) -> None:
        first, second = (await gateway.agents())[:2]
        started = asyncio.Event()

        async def read_slowly() -> None:
            async with aclosing(gateway.run(Turn(first, UserMessage(samples.tool)))) as events:
                async for _ in events:
                    started.set()
                    await asyncio.sleep(3600)

        reader = asyncio.create_task(read_slowly())
        await asyncio.wait_for(started.wait(), 30)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert_well_formed(await events_of(gateway, second, samples.plain))

    async def test_each_conversation_is_another_one_and_answers_as_usual(
        self, gateway: AgentGateway, samples: Samples
    ) -> None:
        agent = (await gateway.agents())[0]
        conversations = [await gateway.open_conversation(agent) for _ in range(2)]
        assert len(set(conversations)) == 2
        turn = Turn(agent, UserMessage(samples.plain), conversations[0])
        async with asyncio.timeout(30), aclosing(gateway.run(turn)) as events:
            found = [event async for event in events]
        assert_well_formed(found)
        assert samples.plain_says in text_of(found)
        for conversation in conversations:
            await gateway.close_conversation(conversation)

    async def test_a_conversation_with_nobody_is_a_failure(self, gateway: AgentGateway) -> None:
        with pytest.raises(FailureError) as raised:
            await gateway.open_conversation(NOBODY)
        assert raised.value.failure.code is FailureCode.MODEL_NOT_FOUND

    async def test_the_record_of_a_run_says_what_the_run_said(self, gateway: AgentGateway, samples: Samples) -> None:
        agent = (await gateway.agents())[0]
        events = await events_of(gateway, agent, samples.plain)
        accepted = events[0]
        assert isinstance(accepted, Accepted)
        if accepted.run_id is not None:
            record = await gateway.record(Turn(agent, UserMessage(samples.plain)), accepted.run_id)
            assert record is not None
            assert record.over
            assert record.remembered
            assert text_of(record.events) == text_of(events)
            assert isinstance(record.events[-1], Ended)

    async def test_nothing_waits_for_approval_after_a_plain_turn(self, gateway: AgentGateway, samples: Samples) -> None:
        agent = (await gateway.agents())[0]
        await events_of(gateway, agent, samples.plain)
        assert list(await gateway.approvals(Turn(agent, UserMessage(samples.plain)))) == []

    async def test_two_turns_of_two_agents_at_once_do_not_mix(self, gateway: AgentGateway, samples: Samples) -> None:
        first, second = (await gateway.agents())[:2]
        plain, tool = await asyncio.gather(
            events_of(gateway, first, samples.plain), events_of(gateway, second, samples.tool)
        )
        assert_well_formed(plain)
        assert_well_formed(tool)
        assert samples.plain_says in text_of(plain)
        assert samples.tool_says in text_of(tool)
        assert samples.tool_says not in text_of(plain)
        assert samples.plain_says not in text_of(tool)
        assert not calls_of(plain)
        assert calls_of(tool)
