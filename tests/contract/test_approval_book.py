"""The approval books: what every one must do, in memory and in a database."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.memory.approval_book import MemoryApprovalBook
from adapters.sql.late import LateApprovalBook, State
from ports.approval_book import KEPT_FOR, ApprovalBook

pytestmark = pytest.mark.anyio


class ApprovalBookContract:
    async def test_nobody_was_asked_yet(self, book: ApprovalBook) -> None:
        assert await book.asked_of("agent-1", "alice") == set()

    async def test_who_was_asked_is_known(self, book: ApprovalBook) -> None:
        await book.keep("agent-1", ["call-1", "call-2"], "alice")
        await book.keep("agent-1", ["call-3"], "bob")
        await book.keep("agent-2", ["call-4"], "alice")
        assert await book.asked_of("agent-1", "alice") == {"call-1", "call-2"}
        assert await book.asked_of("agent-1", "bob") == {"call-3"}
        assert await book.asked_of("agent-2", "bob") == set()

    async def test_who_was_asked_first_stays(self, book: ApprovalBook) -> None:
        await book.keep("agent-1", ["call-1"], "alice")
        await book.keep("agent-1", ["call-1"], "bob")
        assert await book.asked_of("agent-1", "bob") == set()
        assert await book.asked_of("agent-1", "alice") == {"call-1"}

    async def test_old_questions_are_forgotten(self, book: ApprovalBook, monkeypatch: pytest.MonkeyPatch) -> None:
        await book.keep("agent-1", ["call-1"], "alice")
        later = time.time() + KEPT_FOR + 1
        monkeypatch.setattr(time, "time", lambda: later)
        assert await book.asked_of("agent-1", "alice") == set()
        await book.keep("agent-1", ["call-2"], "alice")
        assert await book.asked_of("agent-1", "alice") == {"call-2"}


class TestMemory(ApprovalBookContract):
    @pytest.fixture
    def book(self) -> ApprovalBook:
        return MemoryApprovalBook()


class TestSqlite(ApprovalBookContract):
    @pytest.fixture
    def book(self, sqlite_state: State) -> ApprovalBook:
        return LateApprovalBook(sqlite_state)


class TestPostgresql(ApprovalBookContract):
    @pytest.fixture
    def book(self, postgres_state: State) -> ApprovalBook:
        return LateApprovalBook(postgres_state)


@pytest.fixture
async def other_state(file: Path) -> AsyncIterator[State]:
    """Of another process that uses the same file."""
    state = State(f"sqlite:///{file}")
    yield state
    await state.close()


async def test_another_process_knows(sqlite_state: State, other_state: State) -> None:
    await LateApprovalBook(sqlite_state).keep("agent-1", ["call-1"], "alice")
    assert await LateApprovalBook(other_state).asked_of("agent-1", "alice") == {"call-1"}


async def test_nothing_is_touched_before_it_is_needed(sqlite_state: State, file: Path) -> None:
    assert await LateApprovalBook(sqlite_state).asked_of("agent-1", "alice") == set()
    assert not file.exists()


async def test_memory_is_bounded() -> None:
    book = MemoryApprovalBook(kept=2)
    await book.keep("agent-1", ["call-1", "call-2", "call-3"], "alice")
    assert await book.asked_of("agent-1", "alice") == {"call-2", "call-3"}
