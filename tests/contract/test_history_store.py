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

    async def test_a_list_has_what_was_written_into_it_the_newest_first(self, store: HistoryStore) -> None:
        for conversation in ("a", "b", "c"):
            await store.write(conversation, HELLO[:1], "models/anna")
        await store.write("d", HELLO, "models/bert")
        await store.write("e", HELLO)
        await store.write("a", HELLO, "models/anna")
        listed = await store.listed("models/anna", 10)
        assert [each.id for each in listed] == ["c", "b", "a"], "what is said later changes no place"
        assert [each.messages for each in listed] == [1, 1, 2]
        assert all(0 < each.created_at <= each.updated_at for each in listed)
        assert [each.id for each in await store.listed("models/anna", 2)] == ["c", "b"]
        assert [each.id for each in await store.listed("models/anna", 2, "b")] == ["a"]
        for unknown in ("a", "d", "unknown"):
            assert list(await store.listed("models/anna", 2, unknown)) == []

    async def test_who_has_a_conversation_is_known(self, store: HistoryStore) -> None:
        await store.write("a", HELLO, "models/anna")
        await store.write("b", HELLO)
        assert [await store.list_of(each) for each in ("a", "b", "c")] == ["models/anna", "", None]
        await store.forget("a")
        assert await store.list_of("a") is None

    async def test_a_name_stays_when_more_is_said(self, store: HistoryStore) -> None:
        await store.name("a", "nothing")
        await store.write("a", HELLO, "models/anna")
        await store.name("a", "Plants, 東京")
        await store.write("a", HELLO, "models/anna")
        assert [each.summary for each in await store.listed("models/anna", 10)] == ["Plants, 東京"]


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
