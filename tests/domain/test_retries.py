"""Which requests are retries, and what they get."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from domain.model.events import Accepted, Ended, Text, ToolCall, ToolResult
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.identity import Identity
from domain.model.turn import UserMessage
from domain.services import retry_index
from tests.fakes.gateway import FakeGateway, Step
from tests.fakes.services import Client, turns_of

pytestmark = pytest.mark.anyio

SLOW: Sequence[Step] = [Accepted("run"), Text("so far"), 10.0, Text(" and on"), Ended()]
FAILS: Sequence[Step] = [
    Accepted("run"),
    ToolCall("c", "t", "{}"),
    ToolResult("c", "r"),
    Failure(FailureCode.LLM_ERROR, Delivery.YES),
]
REFUSED: Sequence[Step] = [Accepted("run"), Failure(FailureCode.LLM_RATE_LIMIT, Delivery.NO)]

BYTES = Identity(b"body")
RETRY = Identity(b"body", retry_count=1)
KEY = Identity(b"body", idempotency_key="key")
MESSAGE = Identity(b"body", message_id="m1")

any_identity = pytest.mark.parametrize("identity", [BYTES, KEY, MESSAGE], ids=["bytes", "key", "message id"])
by_id = pytest.mark.parametrize("identity", [KEY, MESSAGE], ids=["key", "message id"])


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway(answers={"slow": SLOW, "fails": FAILS, "refused": REFUSED})


@pytest.fixture
def client(gateway: FakeGateway) -> Client:
    return Client(turns_of(gateway), sync=True)


@any_identity
async def test_a_client_that_lost_its_connection_attaches(
    gateway: FakeGateway, client: Client, identity: Identity
) -> None:
    await client.ask("slow", identity).hang_up_after(1)
    again = client.ask("slow", identity)
    assert again.replayed
    assert await again.text() == "so far and on"
    assert gateway.heard == ["slow"]


@any_identity
async def test_a_client_that_missed_the_end_gets_a_replay(
    gateway: FakeGateway, client: Client, identity: Identity
) -> None:
    await client.ask("slow", identity).hang_up_after(1)
    await asyncio.sleep(500)
    again = client.ask("slow", identity)
    assert again.replayed
    assert await again.text() == "so far and on"
    assert gateway.heard == ["slow"]


async def test_the_same_question_of_two_clients_is_two_turns(gateway: FakeGateway, client: Client) -> None:
    first, second = client.ask("slow", BYTES), client.ask("slow", BYTES)
    assert not second.replayed
    assert [await first.text(), await second.text()] == ["so far and on"] * 2
    assert gateway.heard == ["slow", "slow"]


async def test_the_same_question_after_a_whole_answer_is_a_new_turn(gateway: FakeGateway, client: Client) -> None:
    await client.ask("hello", BYTES).text()
    again = client.ask("hello", BYTES)
    assert not again.replayed
    await again.text()
    assert gateway.heard == ["hello", "hello"]


@by_id
async def test_the_same_id_is_the_same_turn_even_after_a_whole_answer(
    gateway: FakeGateway, client: Client, identity: Identity
) -> None:
    first, second = client.ask("slow", identity), client.ask("slow", identity)
    assert second.replayed
    assert [await first.text(), await second.text()] == ["so far and on"] * 2
    await asyncio.sleep(3600)
    third = client.ask("slow", identity)
    assert third.replayed
    assert await third.text() == "so far and on"
    assert gateway.heard == ["slow"]


async def test_who_says_that_it_is_a_retry_is_believed(gateway: FakeGateway, client: Client) -> None:
    first = client.ask("slow", BYTES)
    second = client.ask("slow", RETRY)
    assert second.replayed
    await asyncio.gather(first.text(), second.text())
    assert gateway.heard == ["slow"]


async def test_a_retry_after_an_answer_that_seems_to_have_arrived_is_believed_once(
    gateway: FakeGateway, client: Client
) -> None:
    await client.ask("hello", BYTES).text()
    await client.ask("hello", RETRY).text()
    assert gateway.heard == ["hello"]
    await client.ask("hello", RETRY).text()
    assert gateway.heard == ["hello", "hello"]


async def test_a_further_retry_has_missed_what_went_out_to_the_one_before(gateway: FakeGateway, client: Client) -> None:
    await client.ask("slow", BYTES).hang_up_after(1)
    for count in (1, 2, 3):
        assert await client.ask("slow", Identity(b"body", retry_count=count)).text() == "so far and on"
    assert gateway.heard == ["slow"]


async def test_a_retry_of_nothing_is_a_new_turn(gateway: FakeGateway, client: Client) -> None:
    assert not client.ask("hello", RETRY).replayed


async def test_a_replay_that_went_out_whole_ends_it(gateway: FakeGateway, client: Client) -> None:
    await client.ask("slow", BYTES).hang_up_after(1)
    await client.ask("slow", BYTES).text()
    await client.ask("slow", BYTES).text()
    assert gateway.heard == ["slow", "slow"]


async def test_after_ten_minutes_the_same_bytes_are_a_new_turn(gateway: FakeGateway, client: Client) -> None:
    await client.ask("slow", BYTES).hang_up_after(1)
    await asyncio.sleep(620)
    assert not client.ask("slow", BYTES).replayed


@by_id
async def test_after_a_day_an_id_is_forgotten(gateway: FakeGateway, client: Client, identity: Identity) -> None:
    await client.ask("hello", identity).text()
    await asyncio.sleep(24 * 3600 + 1)
    assert not client.ask("hello", identity).replayed


async def test_another_client_that_asks_the_same_does_not_hide_a_lost_one(gateway: FakeGateway, client: Client) -> None:
    lost = client.ask("slow", BYTES)
    other = client.ask("slow", BYTES)
    await lost.hang_up_after(1)
    again = client.ask("slow", BYTES)
    assert again.replayed
    await asyncio.gather(again.text(), other.text())
    assert gateway.heard == ["slow", "slow"]


@any_identity
async def test_a_failure_after_delivery_is_repeated(gateway: FakeGateway, client: Client, identity: Identity) -> None:
    failure = await client.ask("fails", identity).failure()
    await asyncio.sleep(29)
    assert await client.ask("fails", identity).failure() == msgspec.structs.replace(failure, repeated=True)
    assert gateway.heard == ["fails"]


@pytest.mark.parametrize("identity", [BYTES, RETRY, MESSAGE])
async def test_after_a_while_a_failed_question_is_a_new_turn(
    gateway: FakeGateway, client: Client, identity: Identity
) -> None:
    await client.ask("fails", identity).failure()
    await asyncio.sleep(31)
    await client.ask("fails", identity).failure()
    assert gateway.heard == ["fails", "fails"]


async def test_a_promise_holds_for_failures_too(gateway: FakeGateway, client: Client) -> None:
    await client.ask("fails", KEY).failure()
    await asyncio.sleep(3600)
    assert (await client.ask("fails", KEY).failure()).repeated
    assert gateway.heard == ["fails"]


@any_identity
async def test_what_was_not_delivered_is_delivered_anew(
    gateway: FakeGateway, client: Client, identity: Identity
) -> None:
    await client.ask("refused", identity).failure()
    gateway.answers["refused"] = SLOW
    assert await client.ask("refused", identity).text() == "so far and on"
    assert gateway.heard == ["refused"]


async def test_a_key_belongs_to_one_request(gateway: FakeGateway, client: Client) -> None:
    await client.ask("hello", KEY).text()
    with pytest.raises(FailureError) as raised:
        client.ask("something else", Identity(b"other body", idempotency_key="key"))
    assert raised.value.failure.code is FailureCode.IDEMPOTENCY_KEY_CONFLICT
    assert gateway.heard == ["hello"]


async def test_a_key_that_delivered_nothing_is_free(gateway: FakeGateway, client: Client) -> None:
    await client.ask("refused", KEY).failure()
    assert await client.ask("hello", Identity(b"other body", idempotency_key="key")).text()


async def test_a_message_id_is_the_same_turn_whatever_else_was_sent(gateway: FakeGateway, client: Client) -> None:
    await client.ask("hello", MESSAGE).text()
    assert await client.ask("hello again", Identity(b"other body", message_id="m1")).text() == "You said: hello"
    assert gateway.heard == ["hello"]


async def test_another_message_id_is_never_a_retry_by_bytes(gateway: FakeGateway, client: Client) -> None:
    await client.ask("slow", MESSAGE).hang_up_after(1)
    again = client.ask("slow", Identity(b"body", message_id="m2", retry_count=1))
    assert not again.replayed
    await again.text()
    assert gateway.heard == ["slow", "slow"]


async def test_the_key_counts_before_the_message_id(gateway: FakeGateway, client: Client) -> None:
    await client.ask("hello", MESSAGE).text()
    assert not client.ask("hello", Identity(b"body", idempotency_key="key", message_id="m1")).replayed


async def test_many_retries_at_once_are_one_delivery(gateway: FakeGateway, client: Client) -> None:
    asked = [client.ask("slow", KEY) for _ in range(20)]
    for each in asked[::2]:
        each.hang_up()
    assert {await each.text() for each in asked[1::2]} == {"so far and on"}
    assert gateway.heard == ["slow"]


async def test_what_is_kept_is_bounded(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_index, "MOST_TURNS", 10)
    client = Client(turns_of(gateway), sync=True)
    kept = client.turns._retry_index
    for number in range(50):
        await client.ask("hello", Identity(str(number).encode())).text()
        await client.ask("hello", Identity(b"", idempotency_key=str(number))).text()
    assert (len(kept._by_body), len(kept._by_id)) == (10, 10)
    assert kept._all_characters == sum(kept._characters.values())
    monkeypatch.setattr(retry_index, "MOST_CHARACTERS", 1000)
    gateway.answers["long"] = [Accepted("run"), *[Text("x" * 100)] * 8, Ended()]
    for number in range(5):
        await client.ask("long", Identity(f"long {number}".encode())).text()
    assert (len(kept._by_body), len(kept._by_id)) == (1, 0)


async def test_the_message_is_not_kept_with_its_answer(gateway: FakeGateway, client: Client) -> None:
    reading = client.ask("a long message", KEY).reading
    while not reading.reader.finished:
        await reading.reader.take()
    reading.leave(whole=True, will_ask_again=True)
    await asyncio.sleep(1)
    [kept] = client.turns._retry_index._by_id.values()
    assert kept.live.progress.attempt is None
    assert kept.live.request.message == UserMessage("")


async def test_nothing_is_kept_of_old_turns(gateway: FakeGateway) -> None:
    client = Client(turns_of(gateway), sync=True)
    kept = client.turns._retry_index
    for number in range(5):
        await client.ask("hello", Identity(str(number).encode())).text()
    await asyncio.sleep(700)
    await client.ask("hello", Identity(b"new")).text()
    assert len(kept._by_body) == 1
    assert len(kept._characters) == 1
