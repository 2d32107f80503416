"""The roster is kept fresh behind the requests that use it."""

import asyncio

import pytest

from domain.model.agent import Agent, ConfiguredAgent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.services.readiness import Readiness
from domain.services.roster_cache import RosterCache
from tests.fakes.gateway import ANNA, BERT, FakeGateway
from tests.fakes.services import alone

pytestmark = pytest.mark.anyio

DOWN = Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)
CARL = Agent("agent-00000000-0000-4000-8000-00000000000c", "carl", 1_700_000_120)


class SlowGateway(FakeGateway):
    """Takes its time to list agents."""

    seconds = 0.5

    async def agents(self) -> list[Agent]:
        await asyncio.sleep(self.seconds)
        return list(await super().agents())


def rosters(gateway: FakeGateway, *configured: ConfiguredAgent) -> RosterCache:
    return RosterCache(alone(gateway), configured, clock=asyncio.get_running_loop().time)


async def test_only_the_first_call_waits_and_calls_share_one_listing() -> None:
    gateway = SlowGateway()
    kept = rosters(gateway)
    await asyncio.gather(*(kept.current() for _ in range(100)))
    assert gateway.listings == 1
    assert asyncio.get_running_loop().time() == 0.5


async def test_a_stale_roster_is_served_at_once_while_it_is_refreshed_once() -> None:
    gateway = SlowGateway()
    kept = rosters(gateway)
    await kept.current()
    gateway.known.append(CARL)
    await asyncio.sleep(9.9)
    assert len((await kept.current()).models) == 2
    assert gateway.listings == 1
    await asyncio.sleep(0.2)
    before = asyncio.get_running_loop().time()
    assert len((await kept.current()).models) == 2
    await asyncio.gather(*(kept.current() for _ in range(10)))
    assert asyncio.get_running_loop().time() == before
    await asyncio.sleep(1)
    assert len((await kept.current()).models) == 3
    assert gateway.listings == 2


async def test_a_slow_listing_is_repeated_seldom() -> None:
    gateway = SlowGateway()
    gateway.seconds = 2
    kept = rosters(gateway)
    await kept.current()
    await asyncio.sleep(39)
    await kept.current()
    await asyncio.sleep(0)
    assert gateway.listings == 1
    await asyncio.sleep(2)
    await kept.current()
    await asyncio.sleep(5)
    assert gateway.listings == 2


async def test_a_backend_that_is_down_keeps_the_roster_and_is_asked_again_later() -> None:
    gateway = FakeGateway()
    kept = rosters(gateway)
    await kept.current()
    gateway.down = DOWN
    await asyncio.sleep(11)
    await kept.current()
    await asyncio.sleep(1)
    assert len((await kept.current()).models) == 2
    gateway.down = None
    gateway.known.append(CARL)
    await asyncio.sleep(11)
    await kept.current()
    await asyncio.sleep(1)
    assert len((await kept.current()).models) == 3


async def test_a_backend_that_is_down_at_the_start_is_an_error_until_it_is_up() -> None:
    gateway = FakeGateway()
    gateway.down = DOWN
    kept = rosters(gateway)
    for _ in range(2):
        with pytest.raises(FailureError):
            await kept.current()
    assert kept.current_or_none is None
    gateway.down = None
    assert len((await kept.current()).models) == 2


async def test_a_caller_that_gives_up_does_not_stop_the_listing_for_others() -> None:
    kept = rosters(SlowGateway())
    impatient, patient = (asyncio.create_task(kept.current()) for _ in range(2))
    await asyncio.sleep(0.1)
    impatient.cancel()
    assert len((await patient).models) == 2


async def test_a_new_agent_is_looked_up_and_is_then_on_the_roster() -> None:
    gateway = FakeGateway()
    kept = rosters(gateway)
    await kept.current()
    gateway.known.append(CARL)
    for _ in range(3):
        assert (await kept.resolve("carl")).agent == CARL
    assert gateway.lookups == ["carl"]
    assert (await kept.resolve(CARL.id)).agent == CARL


async def test_an_unknown_name_is_looked_up_seldom() -> None:
    gateway = FakeGateway()
    kept = rosters(gateway)
    for _ in range(10):
        with pytest.raises(FailureError) as raised:
            await kept.resolve("nobody")
        assert raised.value.failure.code is FailureCode.MODEL_NOT_FOUND
    assert gateway.lookups == ["nobody"]
    await asyncio.sleep(6)
    gateway.known.append(Agent("agent-x", "nobody", 0))
    assert (await kept.resolve("nobody")).agent.id == "agent-x"


async def test_a_name_that_several_agents_have_is_not_guessed() -> None:
    gateway = FakeGateway([ANNA, Agent("agent-x", "anna", 0)])
    with pytest.raises(FailureError):
        await rosters(gateway).resolve("anna")


async def test_with_agents_configured_others_are_not_even_looked_up() -> None:
    gateway = FakeGateway()
    kept = rosters(gateway, ConfiguredAgent("anna"))
    with pytest.raises(FailureError):
        await kept.resolve("bert")
    assert gateway.lookups == []
    assert gateway.listings == 1


async def test_a_configured_agent_that_appears_later_is_found(caplog: pytest.LogCaptureFixture) -> None:
    gateway = FakeGateway()
    kept = rosters(gateway, ConfiguredAgent("anna"), ConfiguredAgent("carl"))
    with pytest.raises(FailureError):
        await kept.resolve("carl")
    assert caplog.text.count("No agent has the configured name 'carl'") == 1
    gateway.known.append(CARL)
    await asyncio.sleep(6)
    assert (await kept.resolve("carl")).agent == CARL


async def test_a_configured_name_of_several_agents_is_logged_with_their_ids(caplog: pytest.LogCaptureFixture) -> None:
    gateway = FakeGateway([ANNA, BERT, Agent("agent-x", "anna", 0)])
    kept = rosters(gateway, ConfiguredAgent("anna"), ConfiguredAgent("bert"))
    assert (await kept.resolve(None)).agent == BERT
    assert ANNA.id in caplog.text
    assert "agent-x" in caplog.text


async def test_an_agent_that_is_gone_is_forgotten() -> None:
    kept = rosters(FakeGateway())
    await kept.current()
    kept.forget(ANNA)
    roster = kept.current_or_none
    assert roster is not None
    assert [model.agent for model in roster.models] == [BERT]
    assert roster.resolve("anna") is None
    assert roster.resolve(ANNA.id) is None


async def failure(readiness: Readiness) -> Failure | None:
    [state] = await readiness.states()
    return state.failure


async def test_readiness_asks_the_backend_every_other_second_at_most() -> None:
    class Counting(FakeGateway):
        checks = 0

        async def check(self) -> None:
            self.checks += 1
            await super().check()

    gateway = Counting()
    kept = rosters(gateway)
    readiness = Readiness(alone(gateway), kept, clock=asyncio.get_running_loop().time)
    assert readiness.agents() == 0
    answers = await asyncio.gather(*(failure(readiness) for _ in range(50)))
    assert answers == [None] * 50
    assert (readiness.agents(), gateway.checks) == (2, 2)
    gateway.down = DOWN
    assert await failure(readiness) is None
    await asyncio.sleep(2.1)
    assert await failure(readiness) == DOWN
    gateway.down = None
    await asyncio.sleep(2.1)
    assert await failure(readiness) is None
