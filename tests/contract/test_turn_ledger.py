"""The turn ledgers, in memory and in databases."""

import time

import pytest

from adapters.memory.turn_ledger import MemoryTurnLedger
from adapters.sql.late import LateTurnLedger, State
from ports.turn_ledger import TurnLedger
from tests.contract.turn_ledger import EVENTS, FAILED, TurnLedgerContract, a_record

pytestmark = pytest.mark.anyio

A_DAY = 86400.0


class TestMemory(TurnLedgerContract):
    @pytest.fixture
    def ledger(self) -> TurnLedger:
        return MemoryTurnLedger()


class TestSqlite(TurnLedgerContract):
    @pytest.fixture
    def ledger(self, sqlite_state: State) -> TurnLedger:
        return LateTurnLedger(sqlite_state, A_DAY)


class TestPostgresql(TurnLedgerContract):
    @pytest.fixture
    def ledger(self, postgres_state: State) -> TurnLedger:
        return LateTurnLedger(postgres_state, A_DAY)


async def test_memory_is_bounded() -> None:
    ledger = MemoryTurnLedger(kept=2)
    for number in range(3):
        await ledger.take(f"key {number}", a_record())
    assert await ledger.take("key 0", a_record()) is None
    assert await ledger.take("key 2", a_record()) is not None


async def test_texts_need_not_be_written(sqlite_state: State) -> None:
    ledger = LateTurnLedger(sqlite_state, answers_kept_for=0)
    await ledger.take("key", a_record(run_id="run-1", ended_at=time.time(), events=EVENTS, kept=EVENTS))
    found = await ledger.take("key", a_record())
    assert found is not None
    assert (found.run_id, found.events, found.kept) == ("run-1", None, ())


async def test_that_a_turn_has_failed_is_no_text(sqlite_state: State) -> None:
    ledger = LateTurnLedger(sqlite_state, answers_kept_for=0)
    await ledger.take("key", a_record(ended_at=time.time(), events=FAILED))
    found = await ledger.take("key", a_record())
    assert found is not None
    assert found.events == FAILED[-1:]


async def test_texts_go_when_their_time_is_over(sqlite_state: State) -> None:
    before, ledger = (LateTurnLedger(sqlite_state, answers_kept_for=60) for _ in range(2))
    await before.take("old", a_record(ended_at=time.time() - 61, events=EVENTS))
    await before.take("new", a_record(ended_at=time.time() - 59, events=EVENTS))
    for key, events in (("old", None), ("new", EVENTS)):
        found = await ledger.take(key, a_record())
        assert found is not None
        assert found.events == events
