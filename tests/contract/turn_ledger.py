"""What every turn ledger must do. Subclass it with a `ledger` fixture."""

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
from domain.model.failures import Delivery, Failure, FailureCode
from domain.model.turn_record import Said, TurnRecord
from ports.turn_ledger import TurnLedger


def a_record(**changes: object) -> TurnRecord:
    now = time.time()
    record = TurnRecord(
        b"\x00\xffbody", "delivery-1", deduplicated=True, began_at=now, forget_at=now + 60, lane="lane", said=b"words"
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


class TurnLedgerContract:
    """A record comes back as it was written."""

    async def test_whoever_takes_a_key_first_has_it(self, ledger: TurnLedger) -> None:
        first = a_record()
        assert await ledger.take("key", first) is None
        assert await ledger.take("key", a_record(delivery_id="delivery-2")) == first
        assert await ledger.take("other key", a_record()) is None

    async def test_of_many_at_once_one_takes_it(self, ledger: TurnLedger) -> None:
        found = await asyncio.gather(*(ledger.take("key", a_record(delivery_id=f"d{at}")) for at in range(20)))
        assert found.count(None) == 1
        assert len({record.delivery_id for record in found if record}) == 1

    async def test_an_answer_is_kept_as_it_was(self, ledger: TurnLedger) -> None:
        await ledger.take("key", a_record())
        for events in (EVENTS, FAILED):
            ended = a_record(
                run_id="run-1", ended_at=time.time(), events=events, kept=EVENTS[:3], answered=True, served=2
            )
            await ledger.replace("key", ended, "delivery-1")
            assert await ledger.take("key", a_record()) == ended

    async def test_a_freed_key_can_be_taken_again(self, ledger: TurnLedger) -> None:
        await ledger.take("key", a_record())
        await ledger.free("key", "another delivery")
        assert await ledger.take("key", a_record()) is not None
        await ledger.free("key", "delivery-1")
        await ledger.free("a key that nobody has", "delivery-1")
        assert await ledger.take("key", a_record(delivery_id="delivery-2")) is None

    async def test_what_is_to_be_forgotten_is(self, ledger: TurnLedger) -> None:
        for key in ("key", "another key"):
            await ledger.take(key, a_record(forget_at=time.time() - 1))
        for key in ("key", "another key"):
            assert await ledger.take(key, a_record()) is None

    async def test_only_what_nothing_has_become_of_is_taken_back(self, ledger: TurnLedger) -> None:
        for changes in ({"run_id": "run-1"}, {"ended_at": time.time()}):
            await ledger.take(str(changes), a_record(**changes))
            await ledger.take_back(str(changes), "delivery-1")
            assert await ledger.take(str(changes), a_record()) is not None
        await ledger.take("key", a_record())
        await ledger.take_back("key", "another delivery")
        assert await ledger.take("key", a_record()) is not None
        await ledger.take_back("key", "delivery-1")
        assert await ledger.take("key", a_record()) is None

    async def test_what_was_said_in_a_lane(self, ledger: TurnLedger) -> None:
        assert await ledger.said("lane", "delivery-1") == Said()
        for number, lane in enumerate(("lane", "lane", "another lane", "lane")):
            record = a_record(
                delivery_id=f"delivery-{number}",
                began_at=time.time() + number,
                lane=lane,
                said=f"words {number}".encode(),
                user_message_id=f"u{number}" if number else None,
            )
            await ledger.take(f"key {number}", record)
        assert await ledger.said("lane", "delivery-9") == Said(b"words 3", frozenset({"u1", "u3"}))
        assert await ledger.said("lane", "delivery-3") == Said(b"words 1", frozenset({"u1"}))
        await ledger.take("old", a_record(delivery_id="old", forget_at=time.time() - 1, lane="old lane"))
        assert await ledger.said("old lane", "delivery-1") == Said()

    async def test_who_comes_too_late_changes_nothing(self, ledger: TurnLedger) -> None:
        newer = a_record(delivery_id="delivery-2")
        await ledger.replace("key", a_record(), "delivery-1")
        assert await ledger.take("key", a_record()) is None
        await ledger.replace("key", newer, "delivery-1")
        await ledger.replace("key", a_record(answered=True), "delivery-1")
        assert await ledger.take("key", a_record()) == newer
