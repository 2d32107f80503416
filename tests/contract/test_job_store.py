"""The job stores, in memory and in databases."""

import time
from collections.abc import Callable

import msgspec
import pytest

from adapters.memory.job_store import MemoryJobStore
from adapters.sql import job_store
from adapters.sql.lazy_stores import lazy_job_store
from adapters.sql.state import State
from domain.model.job import Job
from ports.job_store import KEPT_FOR, JobStore
from tests.contract.job_store import JobStoreContract, a_job, added, ended

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _always_sweeping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_store, "_SWEEP_EVERY", 0.0)


class TestMemory(JobStoreContract):
    @pytest.fixture
    def store(self) -> JobStore:
        return MemoryJobStore()


class TestSqlite(JobStoreContract):
    @pytest.fixture
    def store(self, sqlite_state: State) -> JobStore:
        return lazy_job_store(sqlite_state, KEPT_FOR)


class TestPostgresql(JobStoreContract):
    @pytest.fixture
    def store(self, postgres_state: State) -> JobStore:
        return lazy_job_store(postgres_state, KEPT_FOR)


def with_changes(**changes: object) -> Callable[[Job], Job]:
    return lambda job: msgspec.structs.replace(ended(job), **changes)


async def test_where_there_is_no_file_there_are_no_jobs(sqlite_state: State) -> None:
    store = lazy_job_store(sqlite_state, KEPT_FOR)
    assert list(await store.open()) == []
    assert await store.counts() == {}
    assert not sqlite_state.exists()


async def test_responses_go_when_their_time_is_over(sqlite_state: State) -> None:
    store = lazy_job_store(sqlite_state, 60)
    for number, ago in ((1, 61), (2, 59)):
        await added(store, a_job(number))
        await store.change(f"job_00{number}", with_changes(ended_at=time.time() - ago))
    await added(store, a_job(3))
    old, new = await store.find("job_001"), await store.find("job_002")
    assert old is not None
    assert new is not None
    assert (old.response, new.response) == (None, "there you are")


async def test_responses_need_not_be_written_but_for_a_callback(sqlite_state: State) -> None:
    store = lazy_job_store(sqlite_state, 0)
    await added(store, a_job())
    for owes, expected in ((True, "there you are"), (False, None)):
        await store.change("job_001", with_changes(owes_callback=owes))
        found = await store.find("job_001")
        assert found is not None
        assert found.response == expected
