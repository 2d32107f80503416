"""The conversation stores, in memory and in a database."""

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.memory.conversation_store import MemoryConversationStore
from adapters.sql.late import LateConversationStore, State
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, FailureError
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
        return LateConversationStore(sqlite_state)


class TestPostgresql(ConversationStoreContract):
    @pytest.fixture
    def store(self, postgres_state: State) -> ConversationStore:
        return LateConversationStore(postgres_state)


@pytest.fixture
def late(sqlite_state: State) -> LateConversationStore:
    return LateConversationStore(sqlite_state)


@pytest.fixture
async def other_state(file: Path) -> AsyncIterator[State]:
    """Of another process that uses the same file."""
    state = State(f"sqlite:///{file}")
    yield state
    await state.close()


async def test_nothing_is_touched_before_it_is_needed(late: LateConversationStore, file: Path) -> None:
    assert not file.exists()
    await late.find("agent-1", "chat")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_restart_forgets_nothing(late: LateConversationStore, other_state: State) -> None:
    await late.keep("agent-1", "chat", "conversation-1")
    assert await LateConversationStore(other_state).find("agent-1", "chat") == "conversation-1"


async def test_two_processes_agree(late: LateConversationStore, other_state: State) -> None:
    other = LateConversationStore(other_state)
    kept = await asyncio.gather(
        *(
            (late, other)[number % 2].keep("agent-1", f"chat {number // 2}", f"conversation-{number}")
            for number in range(40)
        )
    )
    for number in range(0, 40, 2):
        assert kept[number] == kept[number + 1]


async def test_one_process_learns_that_another_has_replaced_a_conversation(
    late: LateConversationStore, other_state: State
) -> None:
    other = LateConversationStore(other_state)
    await late.keep("agent-1", "chat", "conversation-1")
    await other.forget("agent-1", "chat", "conversation-1")
    await other.keep("agent-1", "chat", "conversation-2")
    await late.forget("agent-1", "chat", "conversation-1")
    assert await late.find("agent-1", "chat") == "conversation-2"


async def assert_unavailable(store: LateConversationStore, cause: str) -> None:
    with pytest.raises(FailureError) as raised:
        await store.keep("agent-1", "a chat of its own", "conversation-1")
    failure = raised.value.failure
    assert (failure.code, failure.delivery) == (FailureCode.STATE_UNAVAILABLE, Delivery.NO)
    assert cause in failure.cause


async def test_a_directory_that_is_not_there_is_an_honest_error_until_it_is(tmp_path: Path) -> None:
    state = State(f"sqlite:///{tmp_path / 'later' / 'state.sqlite'}")
    store = LateConversationStore(state)
    await assert_unavailable(store, "No such file or directory")
    (tmp_path / "later").mkdir()
    assert await store.find("agent-1", "chat") is None
    await state.close()


async def test_a_file_that_is_no_database(late: LateConversationStore, file: Path) -> None:
    file.write_text("This is a letter to my aunt, and no database at all." * 50)
    await assert_unavailable(late, "file is not a database")


async def test_a_newer_schema_is_refused_and_left_alone(
    late: LateConversationStore, other_state: State, file: Path
) -> None:
    await late.keep("agent-1", "chat", "conversation-1")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE lettabot_schema SET version = 99")
    newer = LateConversationStore(other_state)
    await assert_unavailable(newer, "a newer version of lettabot has used it (schema 99")
    with sqlite3.connect(file) as database:
        assert database.execute("SELECT count(*) FROM lettabot_conversations").fetchone() == (1,)


async def test_a_locked_database_is_an_honest_error_and_recovers(
    late: LateConversationStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import adapters.sql.database

    monkeypatch.setattr(adapters.sql.database, "_PATIENCE", 0.1)
    await late.find("agent-1", "chat")
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    await assert_unavailable(late, "database is locked")
    holder.execute("ROLLBACK")
    holder.close()
    assert await late.keep("agent-1", "chat", "conversation-1") == "conversation-1"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_file_that_may_not_be_written(late: LateConversationStore, file: Path) -> None:
    file.touch(0o400)
    await assert_unavailable(late, "Permission denied")


async def test_what_is_known_is_not_asked_again(late: LateConversationStore, file: Path) -> None:
    await late.keep("agent-1", "chat", "conversation-1")
    with sqlite3.connect(file) as database:
        database.execute("DROP TABLE lettabot_conversations")
    assert await late.find("agent-1", "chat") == "conversation-1"
    await assert_unavailable_elsewhere(late)


async def assert_unavailable_elsewhere(store: LateConversationStore) -> None:
    with pytest.raises(FailureError, match="no such table"):
        await store.find("agent-1", "another chat")
