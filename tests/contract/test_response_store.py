"""The response stores: what every one must do, in memory and in a database."""

import time

import msgspec
import pytest

from adapters.memory import response_store as memory
from adapters.memory.response_store import MemoryResponseStore
from adapters.sql import response_store as sql
from adapters.sql.lazy_stores import lazy_response_store
from adapters.sql.state import State
from domain.model.events import Accepted, Ended, Failed, Text, ToolCall, ToolResult, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.response import KeptResponse, ResponseRecord, ResponseStatus, first_id_at, new_response_id
from ports.response_store import ResponseStore
from tests.fakes.gateway import ANNA

pytestmark = pytest.mark.anyio

DAY = 86_400.0
SAID: list[TurnEvent] = [
    Accepted("run-1"),
    Text("東"),
    Text("京"),
    ToolCall("1", "a", "{}"),
    ToolResult("1", "b"),
    Ended(),
]


def a_record(**more: object) -> ResponseRecord:
    return msgspec.structs.replace(
        ResponseRecord(
            id=new_response_id(),
            owner="alice",
            agent=ANNA,
            model="anna",
            chat="chat",
            shows=frozenset({"x"}),
            parameters=b'{"a":1}',
        ),
        **more,
    )


class ResponseStoreContract:
    async def test_nothing_is_there_at_first(self, store: ResponseStore) -> None:
        id_ = new_response_id()
        assert await store.find(id_) is None
        assert await store.input(id_) is None
        assert list(await store.events(id_)) == []
        assert await store.head("lane") is None
        assert not await store.is_used()

    async def test_what_is_kept_is_found_with_what_was_said(self, store: ResponseStore) -> None:
        failure = Failure(FailureCode.LLM_ERROR, Delivery.YES)
        record = a_record().ended(Failed(failure), 7.0, "run-1")
        await store.keep([KeptResponse(record, b'["in"]', SAID)])
        assert await store.find(record.id) == record
        assert await store.input(record.id) == b'["in"]'
        assert list(await store.events(record.id)) == SAID
        for position in range(len(SAID) + 2):
            assert list(await store.events(record.id, position)) == SAID[position:]

    async def test_it_can_be_written_again_and_changed(self, store: ResponseStore) -> None:
        record = a_record()
        await store.keep([KeptResponse(record, b"[]")])
        await store.keep([KeptResponse(record, b"[]", SAID)])
        ended = record.ended(Ended(), 7.0)
        await store.change(ended)
        assert await store.find(record.id) == ended
        assert list(await store.events(record.id)) == SAID
        unknown = a_record()
        await store.change(unknown)
        assert await store.find(unknown.id) is None

    async def test_events_come_in_pieces_and_none_comes_twice(self, store: ResponseStore) -> None:
        record = a_record(background=True, status=ResponseStatus.QUEUED)
        await store.keep([KeptResponse(record, b"[]")])
        await store.add_events(record.id, 0, SAID[:1])
        await store.add_events(record.id, 1, SAID[1:4])
        await store.add_events(record.id, 1, SAID[:2])
        await store.add_events(record.id, 4, SAID[4:])
        for position in range(len(SAID) + 1):
            assert list(await store.events(record.id, position)) == SAID[position:]

    async def test_what_is_deleted_is_gone_with_all_of_it(self, store: ResponseStore) -> None:
        record = a_record()
        await store.keep([KeptResponse(record, b"[]", SAID)])
        await store.delete(record.id)
        await store.delete(record.id)
        assert await store.find(record.id) is None
        assert await store.input(record.id) is None
        assert list(await store.events(record.id)) == []

    async def test_the_head_of_a_conversation_moves(self, store: ResponseStore) -> None:
        await store.move_head("lane", "")
        assert await store.head("lane") is None
        first, second = new_response_id(), new_response_id()
        await store.move_head("lane", first)
        await store.move_head("other lane", second)
        assert await store.head("lane") == first
        assert await store.is_used()
        await store.move_head("lane", "")
        assert await store.head("lane") == ""
        assert await store.head("other lane") == second


class TestMemory(ResponseStoreContract):
    @pytest.fixture
    def store(self) -> ResponseStore:
        return MemoryResponseStore()


class TestSqlite(ResponseStoreContract):
    @pytest.fixture
    def store(self, sqlite_state: State) -> ResponseStore:
        return lazy_response_store(sqlite_state, DAY, DAY)


class TestPostgresql(ResponseStoreContract):
    @pytest.fixture
    def store(self, postgres_state: State) -> ResponseStore:
        return lazy_response_store(postgres_state, DAY, DAY)


async def test_another_process_knows(sqlite_state: State, other_state: State) -> None:
    record = a_record()
    await lazy_response_store(sqlite_state, DAY, DAY).keep([KeptResponse(record, b"[]", SAID)])
    assert await lazy_response_store(other_state, DAY, DAY).find(record.id) == record


async def test_asking_makes_no_file(sqlite_state: State) -> None:
    store = lazy_response_store(sqlite_state, DAY, DAY)
    assert await store.find(new_response_id()) is None
    assert await store.head("lane") is None
    assert not await store.is_used()
    assert not sqlite_state.exists()


async def test_texts_are_not_written_if_they_are_not_to_be_kept(sqlite_state: State) -> None:
    store, record = lazy_response_store(sqlite_state, DAY, 0.0), a_record()
    await store.keep([KeptResponse(record, b'["in"]', SAID)])
    await store.add_events(record.id, 0, SAID)
    assert await store.find(record.id) == record
    assert await store.input(record.id) is None
    assert list(await store.events(record.id)) == []


async def test_texts_go_before_responses_do(sqlite_state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "_SWEEP_EVERY", 0.0)
    store = lazy_response_store(sqlite_state, 2 * DAY, DAY)
    now = time.time()
    ages = {age: a_record(id=first_id_at(now - age * DAY) + "0" * 24) for age in (0.5, 1.5, 2.5)}
    for record in ages.values():
        await store.keep([KeptResponse(record, b"[]", SAID)])
        await store.move_head(f"lane of {record.id}", record.id)
    await store.keep([KeptResponse(a_record(), b"[]")])
    assert [await store.find(record.id) is not None for record in ages.values()] == [True, True, False]
    assert [bool(await store.events(record.id)) for record in ages.values()] == [True, False, False]
    assert [await store.head(f"lane of {record.id}") is None for record in ages.values()] == [False, False, True]


@pytest.mark.parametrize(("bound", "value"), [("MOST_RESPONSES", 2), ("MOST_BYTES", 900)])
async def test_the_oldest_go_if_there_are_too_many(
    sqlite_state: State, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(sql, "_SWEEP_EVERY", 0.0)
    monkeypatch.setattr(sql, bound, value)
    store, records = lazy_response_store(sqlite_state, DAY, DAY), [a_record() for _ in range(5)]
    for record in records:
        await store.keep([KeptResponse(record, b"x" * 400)])
    assert [await store.find(record.id) is not None for record in records] == [False] * 3 + [True] * 2


async def test_memory_is_bounded_in_number_and_size() -> None:
    store, records = MemoryResponseStore(most=2), [a_record() for _ in range(3)]
    for record in records:
        await store.keep([KeptResponse(record, b"[]")])
    assert [await store.find(record.id) is not None for record in records] == [False, True, True]
    small = MemoryResponseStore(most_bytes=memory._EVENT * 10)
    for record in records:
        await small.keep([KeptResponse(record, b"", SAID)])
    assert [await small.find(record.id) is not None for record in records] == [False, False, True]
