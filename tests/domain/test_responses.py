"""Responses in the domain: which is the last of a chat, and what is written down of each."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from adapters.memory.response_store import MemoryResponseStore
from adapters.memory.turn_store import MemoryTurnStore
from domain.model.events import Accepted, Ended, Text
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.identity import Identity
from domain.model.lane import name_of
from domain.model.response import (
    KeptResponse,
    ResponseRecord,
    ResponseRequest,
    ResponseStatus,
    created_at,
    new_response_id,
)
from domain.model.turn import TurnRequest, UserMessage
from domain.model.turn_rules import TurnRules
from domain.services import conversation_heads, response_keeper
from domain.services.conversation_heads import ConversationHeads
from domain.services.response_keeper import ResponseKeeper
from tests.fakes.gateway import ANNA, FakeGateway, Step
from tests.fakes.services import Client, turns_of

pytestmark = pytest.mark.anyio

CHAT = "groceries"
LANE = name_of((ANNA.key, CHAT))
SLOW: list[Step] = [Accepted("run-1"), Text("so "), 0.05, Text("far"), Ended()]
BROKEN: list[Step] = [Accepted("run-2"), Text("so far"), Failure(FailureCode.LLM_ERROR, Delivery.YES)]
AWAY: list[Step] = [Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)]


class WatchedStore(MemoryResponseStore):
    """`moves` are the heads that were written; `down`: nothing can be read or written."""

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[tuple[str, str]] = []
        self.down = False

    async def move_head(self, lane: str, response_id: str) -> None:
        if self.down:
            raise FailureError(Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO))
        self.moves.append((lane, response_id))
        await super().move_head(lane, response_id)

    async def keep(self, responses: Sequence[KeptResponse]) -> None:
        if self.down:
            raise FailureError(Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO))
        await super().keep(responses)


def asking(text: str = "hello", chat: str | None = CHAT, follows: str | None = None, **more: Any) -> TurnRequest:
    record = ResponseRecord(id=new_response_id(), owner="", agent=ANNA, model="anna", chat=chat)
    return TurnRequest(ANNA, UserMessage(text), chat, response=ResponseRequest(record, b"[1]", follows=follows, **more))


def id_of(request: TurnRequest) -> str:
    assert request.response is not None
    return request.response.record.id


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not look():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


@pytest.fixture
def store() -> WatchedStore:
    return WatchedStore()


@pytest.fixture
def heads(store: WatchedStore) -> ConversationHeads:
    return ConversationHeads(store)


class TestHeads:
    async def test_a_chat_goes_on_from_its_last_response_only(self, heads: ConversationHeads) -> None:
        first, second = asking(), asking()
        await heads.move(first)
        await heads.check(asking(follows=id_of(first)))
        await heads.move(second)
        with pytest.raises(FailureError) as raised:
            await heads.check(asking(follows=id_of(first)))
        assert (raised.value.failure.code, raised.value.failure.delivery) == (
            FailureCode.PREVIOUS_RESPONSE_NOT_LAST,
            Delivery.NO,
        )

    async def test_a_second_attempt_of_the_last_one_is_no_other_one(self, heads: ConversationHeads) -> None:
        first = asking()
        again = asking(follows=id_of(first))
        await heads.move(first)
        await heads.move(again)
        await heads.check(again)

    async def test_where_nobody_knows_the_last_one_it_goes_on(self, heads: ConversationHeads) -> None:
        await heads.check(asking(follows=new_response_id()))

    async def test_the_default_history_is_not_looked_at(self, heads: ConversationHeads, store: WatchedStore) -> None:
        await heads.move(asking(chat=None))
        await heads.check(asking(chat=None, follows=new_response_id()))
        assert store.moves == []

    async def test_other_turns_are_written_only_where_there_are_responses(
        self, heads: ConversationHeads, store: WatchedStore
    ) -> None:
        other = TurnRequest(ANNA, UserMessage("else"), CHAT)
        await heads.move(other)
        assert store.moves == []
        first = asking()
        await heads.move(first)
        await heads.move(other)
        assert store.moves == [(LANE, id_of(first)), (LANE, "")]
        with pytest.raises(FailureError):
            await heads.check(asking(follows=id_of(first)))

    async def test_what_cannot_be_asked_for_cannot_be_gone_on_from(
        self, heads: ConversationHeads, store: WatchedStore
    ) -> None:
        await heads.move(asking())
        await heads.move(asking(is_stored=False))
        assert await store.head(LANE) == ""

    async def test_a_state_that_is_away_is_written_to_when_it_comes_back(
        self, heads: ConversationHeads, store: WatchedStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(conversation_heads, "TRY_EVERY", 0.01)
        first, store.down = asking(), True
        await heads.move(first)
        store.down = False
        await until(lambda: store.moves == [(LANE, id_of(first))])


class TestKeeper:
    async def test_a_response_is_found_while_it_is_made_and_written_when_it_has_ended(
        self, store: WatchedStore, heads: ConversationHeads
    ) -> None:
        keeper = ResponseKeeper(store, heads)
        turns = turns_of(FakeGateway(answers={"slow": SLOW}), responses=store, keeper=keeper)
        request = asking("slow")
        asked = Client(turns).ask(request)
        await until(lambda: bool(keeper.live[id_of(request)].progress.log.events))
        assert keeper.live[id_of(request)].record.status is ResponseStatus.IN_PROGRESS
        await asked.answer()
        await until(lambda: id_of(request) not in keeper.live)
        kept = await store.find(id_of(request))
        assert kept is not None
        assert (kept.status, kept.run_id) == (ResponseStatus.COMPLETED, "run-1")
        assert list(await store.events(kept.id)) == [event for event in SLOW if not isinstance(event, float)]
        assert await store.input(kept.id) == b"[1]"
        assert await store.head(LANE) == kept.id

    @pytest.mark.parametrize(("script", "is_kept"), [(BROKEN, True), (AWAY, False)])
    async def test_of_a_turn_that_failed_only_what_was_delivered_is_kept(
        self, store: WatchedStore, heads: ConversationHeads, script: list[Step], is_kept: bool
    ) -> None:
        keeper = ResponseKeeper(store, heads)
        turns = turns_of(FakeGateway(answers={"fails": script}), responses=store, keeper=keeper)
        request = asking("fails")
        await Client(turns).ask(request).failure()
        await keeper.close()
        kept = await store.find(id_of(request))
        assert (kept is not None) is is_kept
        assert await store.head(LANE) == (id_of(request) if is_kept else None)
        if kept is not None:
            assert kept.status is ResponseStatus.FAILED

    async def test_a_state_that_is_away_takes_them_when_it_comes_back(
        self, store: WatchedStore, heads: ConversationHeads, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(response_keeper, "_TRY_EVERY", 0.02)
        monkeypatch.setattr(response_keeper, "_MOST_GATHERED", 2)
        keeper = ResponseKeeper(store, heads)
        turns = turns_of(FakeGateway(), responses=store, keeper=keeper)
        store.down = True
        requests = [asking(str(number), chat=None) for number in range(3)]
        for request in requests:
            await Client(turns).ask(request).answer()
        await asyncio.sleep(0.2)
        assert [id_of(request) in keeper.live for request in requests] == [False, True, True]
        store.down = False
        await until(lambda: not keeper.live)
        assert [await store.find(id_of(request)) is not None for request in requests] == [False, True, True]

    async def test_one_that_is_not_stored_is_nowhere(self, store: WatchedStore, heads: ConversationHeads) -> None:
        keeper = ResponseKeeper(store, heads)
        turns = turns_of(FakeGateway(), responses=store, keeper=keeper)
        request = asking(is_stored=False)
        await Client(turns).ask(request).answer()
        await keeper.close()
        assert await store.find(id_of(request)) is None

    async def test_a_retry_in_another_process_has_the_id_and_the_pieces_of_the_first(
        self, store: WatchedStore, heads: ConversationHeads
    ) -> None:
        records, rules, gateway = MemoryTurnStore(), TurnRules(shared=True), FakeGateway(answers={"slow": SLOW})
        one, two = [
            turns_of(gateway, rules, turn_store=records, responses=store, keeper=ResponseKeeper(store, heads))
            for _ in range(2)
        ]
        identity = Identity(b"body", idempotency_key="key")
        first, again = asking("slow"), asking("slow")
        told = Client(one).ask(first, identity)
        await told.answer()
        # The end is written behind the answer.
        await asyncio.sleep(0.05)
        retold = Client(two).ask(again, identity)
        await retold.answer()
        assert retold.reading.response_id == told.reading.response_id == id_of(first)
        assert len(gateway.delivered) == 1


def test_an_id_says_when_it_was_made_and_later_ones_sort_later() -> None:
    ids = [new_response_id() for _ in range(50)]
    assert ids == sorted(ids, key=lambda each: each[:20])
    assert abs(created_at(ids[0]) - created_at(ids[-1])) < 60
    assert msgspec.json.decode(msgspec.json.encode(ids[0])) == ids[0]
