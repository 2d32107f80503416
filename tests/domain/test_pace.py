"""When a client that was refused is told to come back."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.model.events import Accepted, Ended
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.turn_rules import TurnRules
from domain.services.lanes import Lanes
from domain.services.pace import Pace
from tests.fakes.gateway import FakeGateway, Step
from tests.fakes.services import Client, turns_of

pytestmark = pytest.mark.anyio

LANE = ("agent-a", None)


def at_once() -> float:
    return 0.0


def late() -> float:
    return 1.0


@pytest.mark.parametrize(
    ("seconds", "turns", "told"), [(0.1, 9, 1), (0.001, 1, 1), (3, 2, 6), (10, 9, 40), (900, 1, 40)]
)
def test_it_is_as_long_as_the_turns_before_it_take(seconds: float, turns: int, told: int) -> None:
    pace = Pace(at_once)
    pace.took("a", seconds)
    assert pace.come_back_after("a", turns) == told


def test_lately_counts_more_than_long_ago() -> None:
    pace = Pace(at_once)
    pace.took("a", 60)
    for _ in range(20):
        pace.took("a", 0.1)
    assert pace.come_back_after("a", 9) == 1
    for _ in range(20):
        pace.took("a", 20)
    assert pace.come_back_after("a", 1) == 20


def test_of_an_agent_of_which_nothing_is_known_a_client_may_ask_soon_again() -> None:
    pace = Pace(at_once)
    pace.took("quick", 0.1)
    assert pace.come_back_after("other", 9) == 2
    assert pace.come_back_after("other", 9, running_for=3) == 27


def test_a_turn_that_takes_longer_than_usual_counts_as_long_as_it_takes() -> None:
    pace = Pace(at_once)
    pace.took("a", 1)
    assert pace.come_back_after("a", 2, running_for=30) == 30


@given(st.floats(0, 10_000), st.integers(1, 1000), st.floats(0, 10_000), st.floats(0, 1), st.booleans())
def test_it_is_from_1_to_60(took: float, turns: int, running: float, jitter: float, known: bool) -> None:
    pace = Pace(lambda: jitter)
    if known:
        pace.took("a", took)
    assert 1 <= pace.come_back_after("a", turns, running) <= 60


@pytest.mark.parametrize("seconds", [0.01, 1, 5, 100])
def test_those_who_are_refused_together_do_not_come_back_together(seconds: float) -> None:
    early, spread, last = Pace(at_once), Pace(random.Random(1).random), Pace(late)
    for pace in (early, spread, last):
        pace.took("a", seconds)
    told = {spread.come_back_after("a", 1) for _ in range(100)}
    assert len(told) > 2
    assert min(told) == early.come_back_after("a", 1)
    assert max(told) <= last.come_back_after("a", 1)


def test_the_memory_is_bounded() -> None:
    pace = Pace()
    for number in range(5000):
        pace.took(f"agent-{number}", 1)
        pace.took("busy", 1)
    assert len(pace._took) == 1000
    assert "busy" in pace._took


async def refusal(lanes: Lanes) -> int:
    with pytest.raises(FailureError) as raised:
        lanes.enter(LANE)
    assert raised.value.failure.retry_after is not None
    return raised.value.failure.retry_after


async def test_a_lane_measures_its_turns_from_its_head_to_their_end() -> None:
    lanes = Lanes(1, 100, at_once)
    first, second = lanes.enter(LANE), lanes.enter(LANE)
    assert await refusal(lanes) == 2
    await asyncio.sleep(4)
    assert await refusal(lanes) == 8
    first.leave()
    third = lanes.enter(LANE)
    assert await refusal(lanes) == 8
    second.leave()
    third.leave()
    # 4 s, and twice none at all.
    lanes.enter(LANE)
    lanes.enter(LANE)
    assert await refusal(lanes) == 4


async def test_turns_that_were_not_carried_out_say_nothing() -> None:
    lanes = Lanes(0, 100, at_once)
    place = lanes.enter(LANE)
    await asyncio.sleep(10)
    place.leave()
    for _ in range(10):
        lanes.enter(LANE).leave(carried_out=False)
    lanes.enter(LANE)
    assert await refusal(lanes) == 10


async def test_an_agent_whose_backend_is_away_does_not_seem_quick() -> None:
    steps: list[Step] = [Accepted("run"), 10.0, Ended()]
    gateway = FakeGateway(answers={"slow": steps})
    turns = turns_of(gateway, TurnRules(max_waiting=0))
    await Client(turns).ask("slow").answer()
    gateway.down = Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)
    for _ in range(10):
        await Client(turns).ask("hello").failure()
    gateway.down = None
    Client(turns).ask("slow")
    with pytest.raises(FailureError) as raised:
        Client(turns).ask("too many")
    assert raised.value.failure.retry_after in range(10, 16)


async def test_other_lanes_of_an_agent_tell_how_quick_it_is() -> None:
    lanes = Lanes(0, 100, at_once)
    place = lanes.enter(("agent-a", "a chat"))
    await asyncio.sleep(10)
    place.leave()
    lanes.enter(LANE)
    assert await refusal(lanes) == 10
