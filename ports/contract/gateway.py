"""What every gateway must do. A test class subclasses this, and the contract of each ability that its gateway has, and
gives it two fixtures: `gateway`, with at least two agents, and `samples`."""

import asyncio
from contextlib import aclosing

import pytest

from domain.model.events import Accepted
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, FailureError
from domain.model.turn import Turn, UserMessage
from ports.abilities import abilities_of
from ports.agent_gateway import AgentGateway
from ports.contract.abilities import CONTRACTS
from ports.contract.samples import NOBODY, Samples, assert_well_formed, calls_of, events_of, text_of


@pytest.mark.anyio
class GatewayContract:
    """Of `ports.agent_gateway.AgentGateway`."""

    async def test_each_ability_is_tested_and_no_other(self, gateway: AgentGateway) -> None:
        tested = {name for name, contract in CONTRACTS.items() if isinstance(self, contract)}
        assert tested == set(abilities_of(gateway))

    async def test_agents_are_listed_oldest_first_and_each_id_once(self, gateway: AgentGateway) -> None:
        agents = await gateway.agents()
        assert len(agents) >= 2, "the fixture must offer two agents"
        assert [agent.created_at for agent in agents] == sorted(agent.created_at for agent in agents)
        assert len({agent.id for agent in agents}) == len(agents)

    async def test_agents_are_the_same_when_asked_again(self, gateway: AgentGateway) -> None:
        assert list(await gateway.agents()) == list(await gateway.agents())

    async def test_a_plain_turn_is_accepted_then_text_then_ended_once(
        self, gateway: AgentGateway, samples: Samples
    ) -> None:
        events = await events_of(gateway, (await gateway.agents())[0], samples.plain)
        assert_well_formed(events)
        assert samples.plain_says in text_of(events)
        assert not calls_of(events)

    async def test_an_unknown_agent_is_a_failure_and_surely_nothing_was_delivered(
        self, gateway: AgentGateway, samples: Samples
    ) -> None:
        with pytest.raises(FailureError) as raised:
            await events_of(gateway, NOBODY, samples.plain)
        assert raised.value.failure.code is FailureCode.MODEL_NOT_FOUND
        assert raised.value.failure.delivery is Delivery.NO

    async def test_a_turn_that_nobody_started_can_be_closed(self, gateway: AgentGateway, samples: Samples) -> None:
        turn = Turn((await gateway.agents())[0], UserMessage(samples.plain))
        await gateway.run(turn).aclose()

    async def test_after_a_hang_up_the_gateway_goes_on_to_serve(self, gateway: AgentGateway, samples: Samples) -> None:
        first, second = (await gateway.agents())[:2]
        events = gateway.run(Turn(first, UserMessage(samples.plain), delivery_id="hung-up"))
        assert isinstance(await anext(events), Accepted)
        await events.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(events)
        # Of the second agent: the first may still be busy with what it was told.
        assert_well_formed(await events_of(gateway, second, samples.plain))

    async def test_a_reader_that_is_cancelled_takes_nobody_along(self, gateway: AgentGateway, samples: Samples) -> None:
        first, second = (await gateway.agents())[:2]
        started = asyncio.Event()

        async def read_slowly() -> None:
            turn = Turn(first, UserMessage(samples.plain), delivery_id="cancelled")
            async with aclosing(gateway.run(turn)) as events:
                async for _ in events:
                    started.set()
                    await asyncio.sleep(3600)

        reader = asyncio.create_task(read_slowly())
        await asyncio.wait_for(started.wait(), 30)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert_well_formed(await events_of(gateway, second, samples.plain))

    async def test_two_turns_of_two_agents_at_once_do_not_mix(self, gateway: AgentGateway, samples: Samples) -> None:
        first, second = (await gateway.agents())[:2]
        other = samples.tool or samples.plain
        one, two = await asyncio.gather(events_of(gateway, first, samples.plain), events_of(gateway, second, other))
        assert_well_formed(one)
        assert_well_formed(two)
        assert text_of(one).count(samples.plain_says) == 1
        assert (samples.tool_says or samples.plain_says) in text_of(two)
        assert not calls_of(one)
