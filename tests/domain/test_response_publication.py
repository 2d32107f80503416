"""A background response that is made in several attempts: clients get each of its events once, and after a crash the
same ones under the same numbers."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory.response_store import MemoryResponseStore
from domain.model.events import Accepted, Ended, Failed, Text, ToolCall, ToolResult, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.response import KeptResponse, ResponseRecord, ResponseStatus, new_response_id
from domain.services.response_publication import ResponsePublications
from tests.fakes.gateway import ANNA

pytestmark = pytest.mark.anyio

WHOLE: list[TurnEvent] = [
    Accepted("run-1"),
    Text("one two three "),
    ToolCall("1", "look", '{"a": 1}'),
    ToolResult("1", "seen"),
    Text("four five"),
]


class FailingStore(MemoryResponseStore):
    """`down`: nothing can be written."""

    down = False

    async def add_events(self, response_id: str, position: int, events: Sequence[TurnEvent]) -> None:
        if self.down:
            raise FailureError(Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO))
        await super().add_events(response_id, position, events)


def a_record() -> ResponseRecord:
    return ResponseRecord(
        id=new_response_id(), owner="", agent=ANNA, model="anna", background=True, status=ResponseStatus.QUEUED
    )


def pieces_of(events: list[TurnEvent], size: int) -> list[TurnEvent]:
    """As they are streamed."""
    streamed: list[TurnEvent] = []
    for event in events:
        if isinstance(event, Text):
            streamed += [Text(event.text[at : at + size]) for at in range(0, len(event.text), size)]
        else:
            streamed.append(event)
    return streamed


def text_of(events: list[TurnEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


async def test_events_are_written_before_they_are_told() -> None:
    store, record = MemoryResponseStore(), a_record()
    await store.keep([KeptResponse(record, b"[]")])
    publications = ResponsePublications(store)
    async with publications.attempt(record.id) as publication:
        assert publication is not None
        assert publications.find(record.id) is publication
        await publication.add([Accepted("run-1"), Text("one")], now=10.0)
        assert publication.log.events == list(await store.events(record.id)) == [Accepted("run-1"), Text("one")]
        await publication.end(Ended())
    assert publications.find(record.id) is None
    kept = await store.find(record.id)
    assert kept is not None
    assert (kept.status, kept.run_id) == (ResponseStatus.COMPLETED, "run-1")
    assert (await store.events(record.id))[-1] == Ended()


async def test_what_cannot_be_written_is_not_told_until_it_can() -> None:
    store, record = FailingStore(), a_record()
    await store.keep([KeptResponse(record, b"[]")])
    async with ResponsePublications(store).attempt(record.id) as publication:
        assert publication is not None
        store.down = True
        await publication.add([Accepted("run-1"), Text("one")], now=1e9)
        assert publication.log.events == []
        with pytest.raises(FailureError):
            await publication.end(Ended())
        store.down = False
        await publication.add([Text(" two")], now=1e9)
        await publication.end(Ended())
    assert text_of(list(await store.events(record.id))) == "one two"


async def test_a_forgotten_response_is_not_published() -> None:
    async with ResponsePublications(MemoryResponseStore()).attempt(new_response_id()) as publication:
        assert publication is None


async def test_an_answer_that_contradicts_the_first_one_stands_behind_it() -> None:
    store, record = MemoryResponseStore(), a_record()
    await store.keep([KeptResponse(record, b"[]")])
    publications = ResponsePublications(store)
    async with publications.attempt(record.id) as publication:
        assert publication is not None
        await publication.add([Text("one")], now=1e9)
    async with publications.attempt(record.id) as publication:
        assert publication is not None
        await publication.add([Text("other")], now=1e9)
        await publication.end(Ended())
    assert text_of(list(await store.events(record.id))) == "oneother"


@settings(max_examples=60)
@given(told=st.integers(0, 40), first_size=st.integers(1, 5), later_size=st.integers(1, 9), batches=st.integers(1, 7))
async def test_after_a_crash_the_next_attempt_goes_on_where_it_broke(
    told: int, first_size: int, later_size: int, batches: int
) -> None:
    store, record = MemoryResponseStore(), a_record()
    await store.keep([KeptResponse(record, b"[]")])
    publications = ResponsePublications(store)
    first = pieces_of(WHOLE, first_size)[:told]
    async with publications.attempt(record.id) as publication:
        assert publication is not None
        await publication.add(first, now=1e9)
    before = list(await store.events(record.id))
    assert before == first

    later = pieces_of(WHOLE, later_size)
    async with publications.attempt(record.id) as publication:
        assert publication is not None
        assert publication.log.events == before
        for at in range(0, len(later), batches):
            await publication.add(later[at : at + batches], now=1e9 + at)
        await publication.end(Failed(Failure(FailureCode.LLM_ERROR, Delivery.YES)))
    after = list(await store.events(record.id))
    assert after[: len(before)] == before
    assert text_of(after) == text_of(WHOLE)
    assert [event for event in after if isinstance(event, ToolResult)] == [ToolResult("1", "seen")]
    arguments = "".join(event.arguments for event in after if isinstance(event, ToolCall))
    assert arguments == '{"a": 1}'
    assert isinstance(after[-1], Failed)
