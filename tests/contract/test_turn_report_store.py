"""The stores of turn reports: what every one must do, in a database and among fakes."""

import time
from collections.abc import AsyncIterator

import msgspec
import pytest

from adapters.sql import turn_report_store as sql
from adapters.sql.lazy_stores import lazy_turn_report_store
from adapters.sql.state import State
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.ids import id_of_time, new_id
from domain.model.turn_report import TurnReport, TurnStage
from ports.turn_reports import LOST_AFTER, TurnReportStore
from tests.fakes.gateway import ANNA
from tests.fakes.turn_reports import MemoryTurnReportStore, SharedTurnReports

pytestmark = pytest.mark.anyio


def a_report(asked_at: float | None = None, **more: object) -> TurnReport:
    asked_at = asked_at or time.time()
    running = TurnReport(
        id=id_of_time("turn", asked_at) + new_id("x", 4)[-8:],
        agent=ANNA,
        owner="alice",
        chat="chat",
        asked_at=asked_at,
        stage=TurnStage.RUNNING,
        tools={"東京": 2},
    )
    return msgspec.structs.replace(running, **more)


def ended(report: TurnReport) -> TurnReport:
    failure = Failure(FailureCode.LLM_ERROR, Delivery.YES, "cause")
    return msgspec.structs.replace(report, stage=TurnStage.ENDED, ended_at=time.time(), failure=failure)


class TurnReportStoreContract:
    async def test_nothing_is_there_at_first(self, store: TurnReportStore) -> None:
        assert list(await store.recent(0.0, 10)) == []
        assert await store.find("turn_0") is None
        assert list(await store.to_stop()) == []

    async def test_processes_see_each_others_turns_the_newest_first(
        self, store: TurnReportStore, other: TurnReportStore
    ) -> None:
        older, newer = a_report(time.time() - 5), a_report()
        await store.write([newer])
        await other.write([older])
        for each in (store, other):
            assert list(await each.recent(0.0, 10)) == [newer, older]
            assert list(await each.recent(0.0, 1)) == [newer]
            assert list(await each.recent(newer.asked_at - 1, 10)) == [newer]
            assert await each.find(older.id) == older

    async def test_a_newer_report_takes_the_place_of_an_older_one(self, store: TurnReportStore) -> None:
        report = a_report()
        await store.write([report, a_report()])
        await store.write([ended(report)])
        found = await store.find(report.id)
        assert found is not None
        assert found.stage is TurnStage.ENDED
        assert found.failure is not None
        assert len(await store.recent(0.0, 10)) == 2

    async def test_hundreds_of_turns_are_told_at_once(self, store: TurnReportStore) -> None:
        await store.write([a_report() for _ in range(250)])
        assert len(await store.recent(0.0, 1000)) == 250

    async def test_the_process_that_has_a_turn_is_asked_to_stop_it_until_it_has_ended(
        self, store: TurnReportStore, other: TurnReportStore
    ) -> None:
        report = a_report()
        await store.write([report])
        await other.ask_to_stop(report.id)
        assert list(await other.to_stop()) == []
        assert list(await store.to_stop()) == [report.id]
        await store.write([msgspec.structs.replace(report, retries=1)])
        assert list(await store.to_stop()) == [report.id]
        await store.write([ended(report)])
        assert list(await store.to_stop()) == []

    async def test_a_turn_that_nobody_tells_of_any_more_is_lost(
        self, store: TurnReportStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        running, over = a_report(), ended(a_report())
        await store.write([running, over])
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + LOST_AFTER + 1)
        stages = {report.id: report.stage for report in await store.recent(0.0, 10)}
        assert stages == {running.id: TurnStage.LOST, over.id: TurnStage.ENDED}


class TestFake(TurnReportStoreContract):
    @pytest.fixture
    def shared(self) -> SharedTurnReports:
        return SharedTurnReports()

    @pytest.fixture
    def store(self, shared: SharedTurnReports) -> TurnReportStore:
        return MemoryTurnReportStore(shared, "one")

    @pytest.fixture
    def other(self, shared: SharedTurnReports) -> TurnReportStore:
        return MemoryTurnReportStore(shared, "two")


class TestSqlite(TurnReportStoreContract):
    @pytest.fixture
    def store(self, sqlite_state: State) -> TurnReportStore:
        return lazy_turn_report_store(sqlite_state)

    @pytest.fixture
    def other(self, other_state: State) -> TurnReportStore:
        return lazy_turn_report_store(other_state)

    async def test_asking_makes_no_file(self, sqlite_state: State) -> None:
        assert list(await lazy_turn_report_store(sqlite_state).recent(0.0, 10)) == []
        assert not sqlite_state.exists()

    async def test_old_turns_and_too_many_are_forgotten(
        self, store: TurnReportStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sql, "_SWEEP_EVERY", -1.0)
        monkeypatch.setattr(sql, "MOST_KEPT", 3)
        old, running = ended(a_report(time.time() - 3700)), a_report(time.time() - 3700)
        newer = [ended(a_report()) for _ in range(5)]
        await store.write([old, running, *newer])
        await store.write(newer[-1:])
        kept = {report.id for report in await store.recent(0.0, 10)}
        assert kept == {running.id, *(report.id for report in sorted(newer, key=lambda each: each.id)[-3:])}


class TestPostgres(TurnReportStoreContract):
    @pytest.fixture
    def store(self, postgres_state: State) -> TurnReportStore:
        return lazy_turn_report_store(postgres_state)

    @pytest.fixture
    async def other(self, postgres_state: State) -> AsyncIterator[TurnReportStore]:
        state = State(postgres_state._url)
        yield lazy_turn_report_store(state)
        await state.close()
