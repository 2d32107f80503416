"""The group commit, before a driver that is a list of what it was given."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import pytest

from adapters.sql.group_commit import Change, GroupCommit, Rows, Statements

pytestmark = pytest.mark.anyio


class RefusedError(Exception):
    """Of one change."""


class GoneError(Exception):
    """The connection is."""


class ListDriver:
    """`transactions` has, for each that was committed, the results of its changes."""

    is_pipelined = False
    errors = GoneError

    def __init__(self) -> None:
        self.transactions: list[list[object]] = []
        self.closed = 0

    def carry_out(self, changes: Sequence[Change[Any]]) -> Sequence[Any]:
        results = [change.carry_out(self)() for change in changes]
        self.transactions.append(results)
        return results

    def send(self, sql: str, values: Mapping[str, Any]) -> Rows:
        raise NotImplementedError

    def is_of_one(self, error: Exception) -> bool:
        return isinstance(error, RefusedError)

    def close(self) -> None:
        self.closed += 1


def result(value: object, may_wait: bool = False) -> Change[object]:
    return Change(lambda statements: lambda: value, may_wait=may_wait)


def failure(error: Exception) -> Change[object]:
    def carry_out(statements: Statements) -> Callable[[], object]:
        raise error

    return Change(carry_out)


@pytest.fixture
def driver() -> ListDriver:
    return ListDriver()


@pytest.fixture
async def group(driver: ListDriver) -> AsyncIterator[GroupCommit]:
    group = GroupCommit(driver)
    yield group
    await group.close()


async def test_what_is_wanted_at_once_is_one_transaction(group: GroupCommit, driver: ListDriver) -> None:
    assert await asyncio.gather(*(group.carry_out(result(number)) for number in range(50))) == list(range(50))
    assert driver.transactions == [list(range(50))]


async def test_what_may_wait_goes_with_what_must_not(group: GroupCommit, driver: ListDriver) -> None:
    later = asyncio.create_task(group.carry_out(result("later", may_wait=True)))
    await asyncio.sleep(0)
    assert await group.carry_out(result("now")) == "now"
    assert await later == "later"
    assert driver.transactions == [["later", "now"]]


async def test_what_may_wait_does_not_wait_for_ever(group: GroupCommit) -> None:
    async with asyncio.timeout(20):
        assert await group.carry_out(result("later", may_wait=True)) == "later"


async def test_the_error_of_one_is_nobody_elses(group: GroupCommit, driver: ListDriver) -> None:
    told = await asyncio.gather(
        group.carry_out(result(1)),
        group.carry_out(failure(RefusedError())),
        group.carry_out(result(2)),
        return_exceptions=True,
    )
    assert (told[0], type(told[1]), told[2]) == (1, RefusedError, 2)
    assert driver.transactions == [[1], [2]]


async def test_a_connection_that_is_gone_fails_all_and_is_made_anew(group: GroupCommit, driver: ListDriver) -> None:
    told = await asyncio.gather(
        group.carry_out(result(1)), group.carry_out(failure(GoneError())), return_exceptions=True
    )
    assert [type(each) for each in told] == [GoneError, GoneError]
    assert driver.closed == 1
    assert await group.carry_out(result(2)) == 2


async def test_who_gives_up_before_it_was_begun_changes_nothing(group: GroupCommit, driver: ListDriver) -> None:
    given_up = asyncio.create_task(group.carry_out(result("given up")))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await group.carry_out(result("wanted")) == "wanted"
    assert driver.transactions == [["wanted"]]


async def test_what_was_wanted_before_the_end_is_done(driver: ListDriver) -> None:
    group = GroupCommit(driver)
    wanted = asyncio.create_task(group.carry_out(result("last", may_wait=True)))
    await asyncio.sleep(0)
    await group.close()
    assert await wanted == "last"
