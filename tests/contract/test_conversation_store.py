"""The conversation stores, in memory and in a database."""

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.memory.conversation_store import MemoryConversationStore
from adapters.sql.conversation_cache import ConversationCache
from adapters.sql.lazy_stores import lazy_conversation_store
from adapters.sql.state import State
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, FailureError
from domain.model.lane import DEFAULT_CHAT
from ports.conversation_store import ConversationStore
from tests.contract.conversation_store import ConversationStoreContract

pytestmark = pytest.mark.anyio


class TestMemory(ConversationStoreContract):
    @pytest.fixture
    def store(self) -> ConversationStore:
        return MemoryConversationStore()


class TestSqlite(ConversationStoreContract):
    @pytest.fixture
    def store(self, sqlite_state: State) -> ConversationStore:
        return ConversationCache(lazy_conversation_store(sqlite_state))


class TestPostgresql(ConversationStoreContract):
    @pytest.fixture
    def store(self, postgres_state: State) -> ConversationStore:
        return ConversationCache(lazy_conversation_store(postgres_state))


@pytest.fixture
async def sqlite_state(file: Path) -> AsyncIterator[State]:
    """Of one of several processes that use the same file."""
    state = State(f"sqlite:///{file}", shared=True)
    yield state
    await state.close()


@pytest.fixture
def store(sqlite_state: State) -> ConversationStore:
    return ConversationCache(lazy_conversation_store(sqlite_state))


@pytest.fixture
async def other_state(file: Path) -> AsyncIterator[State]:
    """Of another one of them."""
    state = State(f"sqlite:///{file}", shared=True)
    yield state
    await state.close()


async def test_nothing_is_touched_before_it_is_needed(store: ConversationStore, file: Path) -> None:
    assert not file.exists()
    assert await store.find("agent-1", DEFAULT_CHAT) is None
    assert await store.chats_of("agent-1", ["conversation-1"]) == {}
    assert await store.of_owner("agent-1", "") == {}
    assert not await store.was_assigned("agent-1", "chat", 0.0)
    assert not file.exists()
    await store.keep("agent-1", "chat", "conversation-1")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_restart_forgets_nothing(store: ConversationStore, other_state: State) -> None:
    await store.keep("agent-1", "chat", "conversation-1")
    assert await ConversationCache(lazy_conversation_store(other_state)).find("agent-1", "chat") == "conversation-1"


async def test_two_processes_agree(store: ConversationStore, other_state: State) -> None:
    other = ConversationCache(lazy_conversation_store(other_state))
    kept = await asyncio.gather(
        *(
            (store, other)[number % 2].keep("agent-1", f"chat {number // 2}", f"conversation-{number}")
            for number in range(40)
        )
    )
    for number in range(0, 40, 2):
        assert kept[number] == kept[number + 1]


async def test_one_process_learns_that_another_has_replaced_a_conversation(
    store: ConversationStore, other_state: State
) -> None:
    other = ConversationCache(lazy_conversation_store(other_state))
    await store.keep("agent-1", "chat", "conversation-1")
    await other.forget("agent-1", "chat", "conversation-1")
    await other.keep("agent-1", "chat", "conversation-2")
    await store.forget("agent-1", "chat", "conversation-1")
    assert await store.find("agent-1", "chat") == "conversation-2"


async def test_what_another_process_has_assigned_holds_for_whoever_asks_after_the_answer() -> None:
    shared = MemoryConversationStore()
    one, other = ConversationCache(shared, 0.05), ConversationCache(shared, 0.05)
    await shared.keep("agent-1", "chat", "conversation-1")
    assert await one.find("agent-1", "chat") == "conversation-1"
    assert await one.find("agent-1", DEFAULT_CHAT) is None
    await other.assign("agent-1", DEFAULT_CHAT, "conversation-1")
    assert await one.find("agent-1", DEFAULT_CHAT) == "conversation-1"
    assert await one.find("agent-1", "chat") is None


async def test_a_process_that_is_alone_goes_by_an_assignment_at_once_and_asks_for_the_default_once() -> None:
    counting = CountingStore()
    cache = ConversationCache(counting)
    for _ in range(3):
        assert await cache.find("agent-1", DEFAULT_CHAT) is None
    assert counting.asked == 1
    await cache.assign("agent-1", DEFAULT_CHAT, "conversation-1")
    assert await cache.find("agent-1", DEFAULT_CHAT) == "conversation-1"


async def test_what_was_read_before_an_assignment_is_not_remembered_after_it() -> None:
    slow = CountingStore(pause=0.05)
    cache = ConversationCache(slow)
    reading = asyncio.create_task(cache.find("agent-1", DEFAULT_CHAT))
    await asyncio.sleep(0.01)
    await cache.assign("agent-1", DEFAULT_CHAT, "conversation-1")
    assert await reading is None
    assert await cache.find("agent-1", DEFAULT_CHAT) == "conversation-1"


class CountingStore(MemoryConversationStore):
    """Counts how often it is asked; takes its time to tell what it has read."""

    def __init__(self, pause: float = 0.0) -> None:
        super().__init__()
        self.asked = 0
        self.pause = pause

    async def find(self, agent_id: str, chat: str) -> str | None:
        self.asked += 1
        found = await super().find(agent_id, chat)
        await asyncio.sleep(self.pause)
        return found


async def assert_unavailable(store: ConversationStore, cause: str) -> None:
    with pytest.raises(FailureError) as raised:
        await store.keep("agent-1", "a chat of its own", "conversation-1")
    failure = raised.value.failure
    assert (failure.code, failure.delivery) == (FailureCode.STATE_UNAVAILABLE, Delivery.NO)
    assert cause in failure.cause


async def test_a_directory_that_is_not_there_is_an_honest_error_until_it_is(tmp_path: Path) -> None:
    state = State(f"sqlite:///{tmp_path / 'later' / 'state.sqlite'}")
    store = ConversationCache(lazy_conversation_store(state))
    await assert_unavailable(store, "No such file or directory")
    (tmp_path / "later").mkdir()
    assert await store.find("agent-1", "chat") is None
    await state.close()


async def test_a_file_that_is_no_database(store: ConversationStore, file: Path) -> None:
    file.write_text("This is a letter to my aunt, and no database at all." * 50)
    await assert_unavailable(store, "file is not a database")


async def test_a_newer_schema_is_refused_and_left_alone(
    store: ConversationStore, other_state: State, file: Path
) -> None:
    await store.keep("agent-1", "chat", "conversation-1")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE lettabot_schema SET version = 99")
    newer = ConversationCache(lazy_conversation_store(other_state))
    await assert_unavailable(newer, "a newer version of lettabot has used it (schema 99")
    with sqlite3.connect(file) as database:
        assert database.execute("SELECT count(*) FROM lettabot_conversations").fetchone() == (1,)


async def test_a_locked_database_is_an_honest_error_and_recovers(
    store: ConversationStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import adapters.sql.database

    monkeypatch.setattr(adapters.sql.database, "_PATIENCE", 0.1)
    await store.keep("agent-1", "another chat", "conversation-0")
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    await assert_unavailable(store, "database is locked")
    holder.execute("ROLLBACK")
    holder.close()
    assert await store.keep("agent-1", "chat", "conversation-1") == "conversation-1"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_file_that_may_not_be_written(store: ConversationStore, file: Path) -> None:
    file.touch(0o400)
    await assert_unavailable(store, "Permission denied")


async def test_what_is_known_is_not_asked_again(store: ConversationStore, file: Path) -> None:
    await store.keep("agent-1", "chat", "conversation-1")
    with sqlite3.connect(file) as database:
        database.execute("DROP TABLE lettabot_conversations")
    assert await store.find("agent-1", "chat") == "conversation-1"
    await assert_unavailable_elsewhere(store)


async def assert_unavailable_elsewhere(store: ConversationStore) -> None:
    with pytest.raises(FailureError, match="no such table"):
        await store.find("agent-1", "another chat")
