"""The turn turn stores, in memory and in databases."""

import time

import pytest

from adapters.memory.turn_store import MemoryTurnStore
from adapters.sql.lazy_stores import lazy_turn_store
from adapters.sql.state import State
from ports.turn_store import TurnStore
from tests.contract.turn_store import EVENTS, FAILED, TurnTurnStoreContract, a_record

pytestmark = pytest.mark.anyio

A_DAY = 86400.0


class TestMemory(TurnTurnStoreContract):
    @pytest.fixture
    def turn_store(self) -> TurnStore:
        return MemoryTurnStore()


class TestSqlite(TurnTurnStoreContract):
    @pytest.fixture
    def turn_store(self, sqlite_state: State) -> TurnStore:
        return lazy_turn_store(sqlite_state, A_DAY)


class TestPostgresql(TurnTurnStoreContract):
    @pytest.fixture
    def turn_store(self, postgres_state: State) -> TurnStore:
        return lazy_turn_store(postgres_state, A_DAY)


async def test_memory_is_bounded() -> None:
    turn_store = MemoryTurnStore(kept=2)
    for number in range(3):
        await turn_store.claim(f"key {number}", a_record())
    assert await turn_store.claim("key 0", a_record()) is None
    assert await turn_store.claim("key 2", a_record()) is not None


async def test_texts_need_not_be_written(sqlite_state: State) -> None:
    turn_store = lazy_turn_store(sqlite_state, answers_kept_for=0)
    await turn_store.claim(
        "key", a_record(run_id="run-1", ended_at=time.time(), events=EVENTS, remembered_events=EVENTS)
    )
    found = await turn_store.claim("key", a_record())
    assert found is not None
    assert (found.run_id, found.events, found.remembered_events) == ("run-1", None, ())


async def test_that_a_turn_has_failed_is_no_text(sqlite_state: State) -> None:
    turn_store = lazy_turn_store(sqlite_state, answers_kept_for=0)
    await turn_store.claim("key", a_record(ended_at=time.time(), events=FAILED))
    found = await turn_store.claim("key", a_record())
    assert found is not None
    assert found.events == FAILED[-1:]


async def test_texts_go_when_their_time_is_over(sqlite_state: State) -> None:
    before, turn_store = (lazy_turn_store(sqlite_state, answers_kept_for=60) for _ in range(2))
    await before.claim("old", a_record(ended_at=time.time() - 61, events=EVENTS))
    await before.claim("new", a_record(ended_at=time.time() - 59, events=EVENTS))
    for key, events in (("old", None), ("new", EVENTS)):
        found = await turn_store.claim(key, a_record())
        assert found is not None
        assert found.events == events
