"""One turn at a time in each conversation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, FailureError
from domain.services.lanes import Lanes, Place

pytestmark = pytest.mark.anyio

A, B = ("agent-a", None), ("agent-a", "chat")


def is_first(place: Place) -> bool:
    return place._first.done()


async def test_a_lane_is_first_come_first_served() -> None:
    lanes = Lanes(8, 100)
    places = [lanes.enter(A) for _ in range(3)]
    assert [is_first(place) for place in places] == [True, False, False]
    places[0].leave()
    assert [is_first(place) for place in places[1:]] == [True, False]
    places[1].leave()
    assert is_first(places[2])
    await places[2].wait()


async def test_lanes_do_not_wait_for_each_other() -> None:
    lanes = Lanes(8, 100)
    lanes.enter(A)
    assert is_first(lanes.enter(B))


async def test_who_leaves_early_holds_nobody_up() -> None:
    lanes = Lanes(8, 100)
    first, second, third = (lanes.enter(A) for _ in range(3))
    second.leave()
    second.leave()
    first.leave()
    assert is_first(third)


@pytest.mark.parametrize(("most", "overall"), [(2, 100), (8, 2)])
async def test_beyond_the_bound_nobody_waits(most: int, overall: int) -> None:
    lanes = Lanes(most, overall)
    first, *_ = (lanes.enter(A) for _ in range(3))
    with pytest.raises(FailureError) as raised:
        lanes.enter(A)
    failure = raised.value.failure
    assert (failure.code, failure.delivery) == (FailureCode.TURN_QUEUE_FULL, Delivery.NO)
    assert failure.retry_after
    first.leave()
    lanes.enter(A)


async def test_nothing_is_left_of_a_lane_that_is_empty() -> None:
    lanes = Lanes(8, 100)
    for place in [lanes.enter(A) for _ in range(5)]:
        place.leave()
    assert lanes._lanes == {}
    assert lanes._waiting == 0


@given(st.lists(st.tuples(st.sampled_from([A, B]), st.integers(0, 20)), max_size=60))
async def test_in_each_lane_exactly_the_oldest_is_first(steps: list[tuple[tuple[str, str | None], int]]) -> None:
    lanes = Lanes(5, 8)
    inside: dict[tuple[str, str | None], list[Place]] = {A: [], B: []}
    for key, leaves in steps:
        if leaves < len(inside[key]):
            inside[key].pop(leaves).leave()
        else:
            waiting = sum(max(len(places) - 1, 0) for places in inside.values())
            full = bool(inside[key]) and (len(inside[key]) > 5 or waiting >= 8)
            if full:
                with pytest.raises(FailureError):
                    lanes.enter(key)
            else:
                inside[key].append(lanes.enter(key))
        for places in inside.values():
            assert [is_first(place) for place in places] == [True, *[False] * (len(places) - 1)][: len(places)]
