"""The history stores: what every one must do, in memory and in a database."""

import pytest

from adapters.memory.history_store import MemoryHistoryStore
from adapters.sql.lazy_stores import lazy_history_store
from adapters.sql.state import State
from domain.model.history import Said, bounded
from ports.history_store import HistoryStore

pytestmark = pytest.mark.anyio

HELLO = (Said("user", "hello"), Said("assistant", "Hi, 東京!"))


class HistoryStoreContract:
    async def test_nothing_was_said_yet(self, store: HistoryStore) -> None:
        assert list(await store.read("a")) == []

    async def test_what_was_said_is_kept_for_each_conversation(self, store: HistoryStore) -> None:
        await store.write("a", HELLO)
        await store.write("b", HELLO[:1])
        assert tuple(await store.read("a")) == HELLO
        assert tuple(await store.read("b")) == HELLO[:1]

    async def test_the_last_history_holds(self, store: HistoryStore) -> None:
        await store.write("a", HELLO)
        await store.write("a", (*HELLO, *HELLO))
        assert tuple(await store.read("a")) == (*HELLO, *HELLO)

    async def test_what_is_forgotten_is_gone(self, store: HistoryStore) -> None:
        await store.write("a", HELLO)
        await store.forget("a")
        await store.forget("unknown")
        assert list(await store.read("a")) == []


class TestMemory(HistoryStoreContract):
    @pytest.fixture
    def store(self) -> HistoryStore:
        return MemoryHistoryStore()


class TestSqlite(HistoryStoreContract):
    @pytest.fixture
    def store(self, sqlite_state: State) -> HistoryStore:
        return lazy_history_store(sqlite_state)


class TestPostgresql(HistoryStoreContract):
    @pytest.fixture
    def store(self, postgres_state: State) -> HistoryStore:
        return lazy_history_store(postgres_state)


async def test_another_process_knows(sqlite_state: State, other_state: State) -> None:
    await lazy_history_store(sqlite_state).write("a", HELLO)
    assert tuple(await lazy_history_store(other_state).read("a")) == HELLO


async def test_memory_is_bounded() -> None:
    store = MemoryHistoryStore(kept=2)
    for conversation in ("a", "b", "c"):
        await store.write(conversation, HELLO)
    assert list(await store.read("a")) == []
    assert tuple(await store.read("c")) == HELLO


def test_a_history_is_bounded_by_messages_and_bytes_and_begins_with_a_user() -> None:
    history = [Said(role, f"{number:04}") for number in range(10) for role in ("user", "assistant")]
    assert bounded(history, messages=5) == history[-4:]
    assert bounded(history, size=20) == history[-4:]
    assert bounded(history, size=3) == []
    assert bounded(history) == history
