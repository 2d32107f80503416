"""What each ability asks of a gateway that has it (ports/abilities.py), and what a gateway whose agents run tools must
do. Fixtures as in gateway.py; `gateway` is of a type that has the ability. What conversations ask: conversations.py."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Protocol

import pytest

from domain.model.events import Accepted, Ended, ToolCall, ToolResult, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, FailureError
from domain.model.turn import Turn, UserMessage
from ports.abilities import (
    AgentSearch,
    CredentialCheck,
    Deduplication,
    RunCancellation,
    RunRecords,
    ToolApprovals,
)
from ports.agent_gateway import AgentGateway
from ports.contract.conversations import (
    ChatConversationsContract,
    ConversationForksContract,
    ConversationHistoryContract,
    ConversationListContract,
    ConversationNamesContract,
)
from ports.contract.samples import (
    NOBODY,
    Samples,
    assert_well_formed,
    calls_of,
    events_of,
    events_of_turn,
    new_delivery_id,
    text_of,
)


class _Checked(AgentGateway, CredentialCheck, Protocol): ...


class _Searched(AgentGateway, AgentSearch, Protocol): ...


class _Stopped(AgentGateway, RunCancellation, Protocol): ...


class _Recorded(AgentGateway, RunRecords, Protocol): ...


class _Deduplicated(AgentGateway, Deduplication, Protocol): ...


class _WithApprovals(AgentGateway, ToolApprovals, Protocol): ...


@pytest.mark.anyio
class CredentialCheckContract:
    async def test_check_returns_while_all_is_well(self, gateway: _Checked) -> None:
        await gateway.check()


@pytest.mark.anyio
class AgentSearchContract:
    async def test_an_agent_is_found_by_its_id(self, gateway: _Searched) -> None:
        for agent in (await gateway.agents())[:2]:
            assert list(await gateway.find(agent.id)) == [agent]

    async def test_all_agents_of_exactly_that_name_are_found(self, gateway: _Searched) -> None:
        agents = await gateway.agents()
        for name in {agent.name for agent in agents[:2]}:
            found = await gateway.find(name)
            assert {agent.id for agent in found} == {agent.id for agent in agents if agent.name == name}

    async def test_a_part_of_a_name_finds_nobody(self, gateway: _Searched) -> None:
        agent = (await gateway.agents())[0]
        assert agent not in await gateway.find(agent.name[:-1])

    async def test_an_unknown_name_or_id_finds_nobody(self, gateway: _Searched) -> None:
        assert list(await gateway.find("no agent has this name / at all")) == []
        assert list(await gateway.find(NOBODY.id)) == []


@pytest.mark.anyio
class RunCancellationContract:
    async def test_a_stopped_run_ends_soon_as_cancelled(self, gateway: _Stopped, samples: Samples) -> None:
        assert samples.slow, "the sample must take long"
        turn = Turn((await gateway.agents())[0], UserMessage(samples.slow), delivery_id=new_delivery_id())

        async def run_and_stop() -> None:
            async with asyncio.timeout(8), aclosing(gateway.run(turn)) as events:
                async for event in events:
                    if isinstance(event, Accepted):
                        assert event.run_id is not None, "what can be stopped has a name"
                        await asyncio.sleep(0.2)
                        await gateway.cancel(turn, event.run_id)

        with pytest.raises(FailureError) as raised:
            await run_and_stop()
        assert raised.value.failure.code is FailureCode.CANCELLED


@pytest.mark.anyio
class RunRecordsContract:
    async def test_the_record_of_a_run_says_what_the_run_said(self, gateway: _Recorded, samples: Samples) -> None:
        turn = Turn((await gateway.agents())[0], UserMessage(samples.plain), delivery_id=new_delivery_id())
        events = await events_of_turn(gateway, turn)
        accepted = events[0]
        assert isinstance(accepted, Accepted)
        assert accepted.run_id is not None, "what has a record has a name"
        record = await gateway.record(turn, accepted.run_id)
        assert record is not None
        assert record.over
        assert record.remembered
        assert text_of(record.events) == text_of(events)
        assert isinstance(record.events[-1], Ended)


@pytest.mark.anyio
class DeduplicationContract:
    async def test_delivery_ids_are_remembered_for_a_while(self, gateway: _Deduplicated) -> None:
        assert gateway.delivery_ids_remembered_for > 0


@pytest.mark.anyio
class ToolApprovalsContract:
    async def test_nothing_waits_for_approval_after_a_plain_turn(
        self, gateway: _WithApprovals, samples: Samples
    ) -> None:
        agent = (await gateway.agents())[0]
        await events_of(gateway, agent, samples.plain)
        assert list(await gateway.approvals(Turn(agent, UserMessage(samples.plain)))) == []


@pytest.mark.anyio
class ToolsContract:
    """Of a gateway whose agents run tools: no ability that is declared, but seen in the events."""

    async def _tool_turn(self, gateway: AgentGateway, samples: Samples) -> Sequence[TurnEvent]:
        return await events_of(gateway, (await gateway.agents())[0], samples.tool)

    async def test_a_tool_turn_is_well_formed_too(self, gateway: AgentGateway, samples: Samples) -> None:
        events = await self._tool_turn(gateway, samples)
        assert_well_formed(events)
        assert samples.tool_says in text_of(events)

    async def test_a_tool_call_is_its_name_once_then_pieces_of_valid_json(
        self, gateway: AgentGateway, samples: Samples
    ) -> None:
        calls = calls_of(await self._tool_turn(gateway, samples))
        assert calls, "the sample must use a tool"
        for call_id, pieces in calls.items():
            assert call_id
            assert [bool(piece.name) for piece in pieces] == [True] + [False] * (len(pieces) - 1)
            assert isinstance(json.loads("".join(piece.arguments for piece in pieces)), dict)

    async def test_a_tool_result_answers_each_call_after_it_was_made(
        self, gateway: AgentGateway, samples: Samples
    ) -> None:
        events = await self._tool_turn(gateway, samples)
        for call_id in calls_of(events):
            pieces = [at for at, event in enumerate(events) if isinstance(event, ToolCall) and event.call_id == call_id]
            results = [
                at for at, event in enumerate(events) if isinstance(event, ToolResult) and event.call_id == call_id
            ]
            assert len(results) == 1
            assert results[0] > pieces[-1]

    async def test_after_a_hang_up_in_a_tool_turn_the_gateway_goes_on_to_serve(
        self, gateway: AgentGateway, samples: Samples
    ) -> None:
        first, second = (await gateway.agents())[:2]
        events = gateway.run(Turn(first, UserMessage(samples.tool), delivery_id=new_delivery_id()))
        assert isinstance(await anext(events), Accepted)
        await events.aclose()
        assert_well_formed(await events_of(gateway, second, samples.plain))

    async def test_a_tool_turn_with_nobody_delivers_nothing(self, gateway: AgentGateway, samples: Samples) -> None:
        with pytest.raises(FailureError) as raised:
            await events_of(gateway, NOBODY, samples.tool)
        assert raised.value.failure.delivery is Delivery.NO


CONTRACTS: Mapping[str, type] = {
    "check credential": CredentialCheckContract,
    "find by name": AgentSearchContract,
    "stop runs": RunCancellationContract,
    "records of runs": RunRecordsContract,
    "deduplicate": DeduplicationContract,
    "conversations": ChatConversationsContract,
    "list of conversations": ConversationListContract,
    "names of conversations": ConversationNamesContract,
    "forks": ConversationForksContract,
    "approvals": ToolApprovalsContract,
    "history": ConversationHistoryContract,
}
"""By the names in `ports.abilities.ABILITIES`."""
