"""The job books, in memory and in databases."""

import time
from collections.abc import Callable

import msgspec
import pytest

from adapters.memory.job_book import MemoryJobBook
from adapters.sql import job_book
from adapters.sql.late import LateJobBook, State
from domain.model.job import Job
from ports.job_book import KEPT_FOR, JobBook
from tests.contract.job_book import JobBookContract, a_job, added, ended

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _always_sweeping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_book, "_SWEEP_EVERY", 0.0)


class TestMemory(JobBookContract):
    @pytest.fixture
    def book(self) -> JobBook:
        return MemoryJobBook()


class TestSqlite(JobBookContract):
    @pytest.fixture
    def book(self, sqlite_state: State) -> JobBook:
        return LateJobBook(sqlite_state, KEPT_FOR)


class TestPostgresql(JobBookContract):
    @pytest.fixture
    def book(self, postgres_state: State) -> JobBook:
        return LateJobBook(postgres_state, KEPT_FOR)


def with_changes(**changes: object) -> Callable[[Job], Job]:
    return lambda job: msgspec.structs.replace(ended(job), **changes)


async def test_where_there_is_no_file_there_are_no_jobs(sqlite_state: State) -> None:
    book = LateJobBook(sqlite_state, KEPT_FOR)
    assert list(await book.open()) == []
    assert await book.counts() == {}
    assert not sqlite_state.exists()


async def test_responses_go_when_their_time_is_over(sqlite_state: State) -> None:
    book = LateJobBook(sqlite_state, 60)
    for number, ago in ((1, 61), (2, 59)):
        await added(book, a_job(number))
        await book.change(f"job_00{number}", with_changes(ended_at=time.time() - ago))
    await added(book, a_job(3))
    old, new = await book.find("job_001"), await book.find("job_002")
    assert old is not None
    assert new is not None
    assert (old.response, new.response) == (None, "there you are")


async def test_responses_need_not_be_written_but_for_a_callback(sqlite_state: State) -> None:
    book = LateJobBook(sqlite_state, 0)
    await added(book, a_job())
    for owes, expected in ((True, "there you are"), (False, None)):
        await book.change("job_001", with_changes(owes_callback=owes))
        found = await book.find("job_001")
        assert found is not None
        assert found.response == expected
