"""What every turn store must do. Subclass it with a `turn_store` fixture."""

import asyncio
import time

import msgspec

from domain.model.events import (
    Accepted,
    ApprovalRequest,
    Ended,
    Failed,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.turn_record import History, TurnRecord
from ports.turn_store import TurnStore


def a_record(**changes: object) -> TurnRecord:
    now = time.time()
    record = TurnRecord(
        b"\x00\xffbody",
        "delivery-1",
        deduplicated=True,
        began_at=now,
        forget_at=now + 60,
        lane="lane",
        message_digest=b"words",
    )
    return msgspec.structs.replace(record, **changes)


EVENTS = (
    Accepted("run-1"),
    Reasoning("hm"),
    Text("Hello \U0001f600 \x00"),
    ToolCall("call", "tool", '{"a": 1}'),
    ToolResult("call", "done", ok=False),
    ApprovalRequest("call-2", "tool", "{}"),
    Usage(1, 2),
    Ended(),
)
FAILED = (Accepted(), Failed(Failure(FailureCode.LLM_ERROR, Delivery.YES, "cause", retry_after=3)))


class TurnTurnStoreContract:
    """A record comes back as it was written."""

    async def test_whoever_takes_a_key_first_has_it(self, turn_store: TurnStore) -> None:
        first = a_record()
        assert await turn_store.claim("key", first) is None
        assert await turn_store.claim("key", a_record(delivery_id="delivery-2")) == first
        assert await turn_store.claim("other key", a_record()) is None

    async def test_of_many_at_once_one_takes_it(self, turn_store: TurnStore) -> None:
        found = await asyncio.gather(*(turn_store.claim("key", a_record(delivery_id=f"d{at}")) for at in range(20)))
        assert found.count(None) == 1
        assert len({record.delivery_id for record in found if record}) == 1

    async def test_an_answer_is_kept_as_it_was(self, turn_store: TurnStore) -> None:
        await turn_store.claim("key", a_record())
        for events in (EVENTS, FAILED):
            ended = a_record(
                run_id="run-1",
                ended_at=time.time(),
                events=events,
                remembered_events=EVENTS[:3],
                answered=True,
                highest_retry_answered=2,
            )
            await turn_store.replace("key", ended, "delivery-1")
            assert await turn_store.claim("key", a_record()) == ended

    async def test_a_freed_key_can_be_taken_again(self, turn_store: TurnStore) -> None:
        await turn_store.claim("key", a_record())
        await turn_store.release("key", "another delivery")
        assert await turn_store.claim("key", a_record()) is not None
        await turn_store.release("key", "delivery-1")
        await turn_store.release("a key that nobody has", "delivery-1")
        assert await turn_store.claim("key", a_record(delivery_id="delivery-2")) is None

    async def test_what_is_to_be_forgotten_is(self, turn_store: TurnStore) -> None:
        for key in ("key", "another key"):
            await turn_store.claim(key, a_record(forget_at=time.time() - 1))
        for key in ("key", "another key"):
            assert await turn_store.claim(key, a_record()) is None

    async def test_only_what_nothing_has_become_of_is_taken_back(self, turn_store: TurnStore) -> None:
        for changes in ({"run_id": "run-1"}, {"ended_at": time.time()}):
            await turn_store.claim(str(changes), a_record(**changes))
            await turn_store.revoke(str(changes), "delivery-1")
            assert await turn_store.claim(str(changes), a_record()) is not None
        await turn_store.claim("key", a_record())
        await turn_store.revoke("key", "another delivery")
        assert await turn_store.claim("key", a_record()) is not None
        await turn_store.revoke("key", "delivery-1")
        assert await turn_store.claim("key", a_record()) is None

    async def test_what_was_said_in_a_lane(self, turn_store: TurnStore) -> None:
        assert await turn_store.history("lane", "delivery-1") == History()
        for number, lane in enumerate(("lane", "lane", "another lane", "lane")):
            record = a_record(
                delivery_id=f"delivery-{number}",
                began_at=time.time() + number,
                lane=lane,
                message_digest=f"words {number}".encode(),
                user_message_id=f"u{number}" if number else None,
            )
            await turn_store.claim(f"key {number}", record)
        assert await turn_store.history("lane", "delivery-9") == History(b"words 3", frozenset({"u1", "u3"}))
        assert await turn_store.history("lane", "delivery-3") == History(b"words 1", frozenset({"u1"}))
        await turn_store.claim("old", a_record(delivery_id="old", forget_at=time.time() - 1, lane="old lane"))
        assert await turn_store.history("old lane", "delivery-1") == History()

    async def test_who_comes_too_late_changes_nothing(self, turn_store: TurnStore) -> None:
        newer = a_record(delivery_id="delivery-2")
        await turn_store.replace("key", a_record(), "delivery-1")
        assert await turn_store.claim("key", a_record()) is None
        await turn_store.replace("key", newer, "delivery-1")
        await turn_store.replace("key", a_record(answered=True), "delivery-1")
        assert await turn_store.claim("key", a_record()) == newer
