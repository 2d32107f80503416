"""The approval stores: what every one must do, in memory and in a database."""

import time
from pathlib import Path

import pytest

from adapters.memory.approval_store import MemoryApprovalStore
from adapters.sql.lazy_stores import lazy_approval_store
from adapters.sql.state import State
from ports.approval_store import KEPT_FOR, ApprovalStore

pytestmark = pytest.mark.anyio


class ApprovalStoreContract:
    async def test_nobody_was_asked_yet(self, store: ApprovalStore) -> None:
        assert await store.asked_of("agent-1", "alice") == set()

    async def test_who_was_asked_is_known(self, store: ApprovalStore) -> None:
        await store.keep("agent-1", ["call-1", "call-2"], "alice")
        await store.keep("agent-1", ["call-3"], "bob")
        await store.keep("agent-2", ["call-4"], "alice")
        assert await store.asked_of("agent-1", "alice") == {"call-1", "call-2"}
        assert await store.asked_of("agent-1", "bob") == {"call-3"}
        assert await store.asked_of("agent-2", "bob") == set()

    async def test_who_was_asked_first_stays(self, store: ApprovalStore) -> None:
        await store.keep("agent-1", ["call-1"], "alice")
        await store.keep("agent-1", ["call-1"], "bob")
        assert await store.asked_of("agent-1", "bob") == set()
        assert await store.asked_of("agent-1", "alice") == {"call-1"}

    async def test_old_questions_are_forgotten(self, store: ApprovalStore, monkeypatch: pytest.MonkeyPatch) -> None:
        await store.keep("agent-1", ["call-1"], "alice")
        later = time.time() + KEPT_FOR + 1
        monkeypatch.setattr(time, "time", lambda: later)
        assert await store.asked_of("agent-1", "alice") == set()
        await store.keep("agent-1", ["call-2"], "alice")
        assert await store.asked_of("agent-1", "alice") == {"call-2"}


class TestMemory(ApprovalStoreContract):
    @pytest.fixture
    def store(self) -> ApprovalStore:
        return MemoryApprovalStore()


class TestSqlite(ApprovalStoreContract):
    @pytest.fixture
    def store(self, sqlite_state: State) -> ApprovalStore:
        return lazy_approval_store(sqlite_state)


class TestPostgresql(ApprovalStoreContract):
    @pytest.fixture
    def store(self, postgres_state: State) -> ApprovalStore:
        return lazy_approval_store(postgres_state)


async def test_another_process_knows(sqlite_state: State, other_state: State) -> None:
    await lazy_approval_store(sqlite_state).keep("agent-1", ["call-1"], "alice")
    assert await lazy_approval_store(other_state).asked_of("agent-1", "alice") == {"call-1"}


async def test_nothing_is_touched_before_it_is_needed(sqlite_state: State, file: Path) -> None:
    assert await lazy_approval_store(sqlite_state).asked_of("agent-1", "alice") == set()
    assert not file.exists()


async def test_memory_is_bounded() -> None:
    store = MemoryApprovalStore(kept=2)
    await store.keep("agent-1", ["call-1", "call-2", "call-3"], "alice")
    assert await store.asked_of("agent-1", "alice") == {"call-2", "call-3"}
