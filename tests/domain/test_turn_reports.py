"""Turns of several processes: seen, watched and stopped from any of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from domain.model.api_key import EVERYBODY, Caller
from domain.model.events import Accepted, Ended, Text
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.turn_report import TurnStage
from domain.services import turn_reports
from domain.services.turn_monitor import TurnMonitor
from domain.services.turn_reports import TurnReports
from domain.services.turn_stopper import TurnStopper
from tests.fakes.gateway import FakeGateway
from tests.fakes.services import Client, alone, turns_of
from tests.fakes.turn_reports import MemoryTurnReportStore, SharedTurnReports

pytestmark = pytest.mark.anyio

DOWN = Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO)


class Process:
    """One of several: `client` asks there, `reports` shows the turns of all."""

    def __init__(self, gateway: FakeGateway, shared: SharedTurnReports | None, name: str) -> None:
        monitor = TurnMonitor()
        self.client = Client(turns_of(gateway, monitor=monitor))
        store = None if shared is None else MemoryTurnReportStore(shared, name)
        self.reports = TurnReports(monitor, TurnStopper(alone(gateway)), store)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        serving = asyncio.create_task(self.reports.serve())
        yield
        serving.cancel()
        self.reports.close()


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway(answers={"slow": [Accepted("run"), Text("so far"), 60.0, Ended()]})


@pytest.fixture
def shared() -> SharedTurnReports:
    return SharedTurnReports()


async def test_a_turn_is_seen_in_another_process_soon(gateway: FakeGateway, shared: SharedTurnReports) -> None:
    one, two = Process(gateway, shared, "one"), Process(gateway, shared, "two")
    async with one.serving(), two.serving():
        await one.client.ask("hello").answer()
        await asyncio.sleep(2.5)
        [report] = await two.reports.recent(EVERYBODY, 0.0, 10)
        assert report.stage is TurnStage.ENDED
        assert list(await two.reports.recent(Caller("alice", id="a"), 0.0, 10)) == []
        assert await two.reports.find(report.id, Caller("alice", id="a")) is None


async def test_a_turn_is_stopped_from_another_process(gateway: FakeGateway, shared: SharedTurnReports) -> None:
    one, two = Process(gateway, shared, "one"), Process(gateway, shared, "two")
    async with one.serving(), two.serving():
        asked = one.client.ask("slow")
        await asyncio.sleep(2.5)
        [report] = await two.reports.recent(EVERYBODY, 0.0, 10)
        assert report.stage is TurnStage.RUNNING
        await two.reports.stop(report)
        assert (await asked.failure()).code is FailureCode.CANCELLED


async def test_idle_processes_tell_nothing(gateway: FakeGateway, shared: SharedTurnReports) -> None:
    async with Process(gateway, shared, "one").serving():
        await asyncio.sleep(10)
    assert shared.told == {}


async def test_a_turn_that_goes_on_is_told_again_so_that_nobody_takes_it_for_lost(
    gateway: FakeGateway, shared: SharedTurnReports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn_reports, "TOLD_EVERY", 0.0)
    one = Process(gateway, shared, "one")
    async with one.serving():
        asked = one.client.ask("slow")
        await asyncio.sleep(3)
        [(_, first, _)] = shared.told.values()
        await asyncio.sleep(3)
        [(_, later, _)] = shared.told.values()
        assert later > first
        asked.hang_up()


async def test_whoever_watches_is_told_each_change_of_all_processes(
    gateway: FakeGateway, shared: SharedTurnReports
) -> None:
    one, two = Process(gateway, shared, "one"), Process(gateway, shared, "two")
    async with one.serving(), two.serving():
        view = two.reports.watch()
        await asyncio.sleep(1)
        await one.client.ask("hello").answer()
        await two.client.ask("hello").answer()
        seen = set[str]()
        while len(seen) < 2:
            seen |= {report.id for report in await view.take(10.0) if report.stage is TurnStage.ENDED}
        view.close()
        assert view.is_closed


async def test_a_view_of_a_closed_service_is_closed(gateway: FakeGateway) -> None:
    alone_ = Process(gateway, None, "one")
    alone_.reports.close()
    assert alone_.reports.watch().is_closed
