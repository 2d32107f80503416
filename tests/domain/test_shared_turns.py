"""Turns of one conversation, and retries of one turn, that come to different processes."""

import asyncio
from collections.abc import Sequence

import pytest

from domain.model.events import Accepted, Ended, Text, ToolCall, ToolResult
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.identity import Identity
from domain.model.turn import Continues, TurnRequest, UserMessage
from domain.model.turn_rules import TurnRules
from tests.fakes.gateway import ANNA, FakeGateway, Step
from tests.fakes.processes import Processes

pytestmark = pytest.mark.anyio

SLOW: Sequence[Step] = [Accepted("run"), Text("so far"), 10.0, Text(" and on"), Ended()]
FAILS: Sequence[Step] = [
    Accepted("run"),
    ToolCall("c", "t", "{}"),
    ToolResult("c", "r"),
    Failure(FailureCode.LLM_ERROR, Delivery.YES),
]
BODY = Identity(b"body")


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway(answers={"slow": SLOW, "fails": FAILS} | {f"q{number}": SLOW for number in range(12)})


@pytest.fixture
def processes(gateway: FakeGateway) -> Processes:
    return Processes(gateway)


async def test_one_at_a_time_in_the_order_of_arrival(gateway: FakeGateway, processes: Processes) -> None:
    asked = []
    for number, process in enumerate((0, 0, 1, 0, 1, 1)):
        asked.append(processes.client(process).ask(f"q{number}"))
        await asyncio.sleep(0.01)
    assert [await each.text() for each in asked] == ["so far and on"] * 6
    assert gateway.heard == [f"q{number}" for number in range(6)]
    assert gateway.most_at_once == 1
    assert processes.board.tickets == []


async def test_different_conversations_do_not_wait(gateway: FakeGateway, processes: Processes) -> None:
    slow = processes.client(0).ask("slow")
    await asyncio.sleep(1)
    request = TurnRequest(ANNA, UserMessage("hello"), "a chat")
    async with asyncio.timeout(1):
        assert await processes.client(1).ask(request).text() == "You said: hello"
    await slow.text()


@pytest.mark.parametrize("identity", [BODY, Identity(b"body", "key"), Identity(b"body", message_id="id")])
async def test_a_retry_elsewhere_waits_and_gets_the_answer(
    gateway: FakeGateway, processes: Processes, identity: Identity
) -> None:
    await processes.client(0, sync=True).ask("slow", identity).hang_up_after(1)
    retry = processes.client(1, sync=True).ask("slow", identity)
    assert await retry.text() == "so far and on"
    assert retry.reading.replayed
    assert gateway.heard == ["slow"]


async def test_a_stream_is_not_stopped_while_its_retry_waits_elsewhere(
    gateway: FakeGateway, processes: Processes
) -> None:
    await processes.client(0).ask("slow", BODY).hang_up_after(1)
    assert await processes.client(1).ask("slow", BODY).text() == "so far and on"
    assert gateway.cancelled == []
    assert gateway.heard == ["slow"]


async def test_a_stream_that_nobody_wants_is_stopped(gateway: FakeGateway, processes: Processes) -> None:
    await processes.client(0).ask("slow", BODY).hang_up_after(1)
    other = processes.client(1).ask("hello")
    assert await other.text() == "You said: hello"
    assert gateway.cancelled == ["run-1"]
    assert gateway.heard == ["hello"]


async def test_the_same_words_again_after_the_answer_are_a_new_message(
    gateway: FakeGateway, processes: Processes
) -> None:
    for process in (0, 1, 1, 0, 0):
        asked = processes.client(process).ask("ok", BODY)
        assert await asked.text() == "You said: ok"
        assert not asked.reading.replayed
        await asyncio.sleep(1)
    assert gateway.heard == ["ok"] * 5


async def test_who_got_the_answer_elsewhere_may_say_the_same_again(gateway: FakeGateway, processes: Processes) -> None:
    await processes.client(0, sync=True).ask("slow", BODY).hang_up_after(1)
    await processes.client(1, sync=True).ask("slow", BODY).text()
    again = processes.client(0, sync=True).ask("slow", BODY)
    assert await again.text() == "so far and on"
    assert not again.reading.replayed
    assert gateway.heard == ["slow", "slow"]


async def test_who_lost_the_connection_at_the_last_word_gets_the_answer_again(
    gateway: FakeGateway, processes: Processes
) -> None:
    asked = processes.client(0).ask("hello", BODY)
    await asyncio.sleep(1)
    asked.hang_up()
    await asyncio.sleep(1)
    assert await processes.client(1).ask("hello", BODY).text() == "You said: hello"
    assert gateway.heard == ["hello"]


async def test_an_sdk_that_counts_its_retries_is_believed(gateway: FakeGateway, processes: Processes) -> None:
    await processes.client(0).ask("hello", BODY).text()
    retry = processes.client(1).ask("hello", Identity(b"body", retry_count=1))
    assert await retry.text() == "You said: hello"
    assert gateway.heard == ["hello"]


async def test_a_failure_after_delivery_is_repeated_elsewhere(gateway: FakeGateway, processes: Processes) -> None:
    await processes.client(0).ask("fails", BODY).failure()
    failure = await processes.client(1).ask("fails", BODY).failure()
    assert (failure.code, failure.repeated) == (FailureCode.LLM_ERROR, True)
    assert gateway.heard == ["fails"]


async def test_what_was_not_delivered_is_delivered_elsewhere(gateway: FakeGateway, processes: Processes) -> None:
    gateway.answers["q"] = [Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)]
    await processes.client(0).ask("q", BODY).failure()
    del gateway.answers["q"]
    assert await processes.client(1).ask("q", BODY).text() == "You said: q"


async def test_an_idempotency_key_is_for_one_request(gateway: FakeGateway, processes: Processes) -> None:
    slow = processes.client(0).ask("slow", Identity(b"body", "key"))
    await asyncio.sleep(1)
    request = TurnRequest(ANNA, UserMessage("other"), "another chat")
    failure = await processes.client(1).ask(request, Identity(b"other", "key")).failure()
    assert failure.code is FailureCode.IDEMPOTENCY_KEY_CONFLICT
    await slow.text()
    assert gateway.heard == ["slow"]


async def test_the_turn_of_a_dead_process_comes_to_its_end_first(gateway: FakeGateway, processes: Processes) -> None:
    processes.client(0).ask("slow", BODY)
    await asyncio.sleep(1)
    waiting = processes.client(1).ask("hello")
    await asyncio.sleep(1)
    processes.kill(0)
    assert await waiting.text() == "You said: hello"
    assert gateway.most_at_once == 1


async def test_a_retry_finds_what_a_dead_process_has_begun(gateway: FakeGateway, processes: Processes) -> None:
    processes.client(0).ask("slow", BODY)
    await asyncio.sleep(1)
    processes.kill(0)
    retry = processes.client(1).ask("slow", BODY)
    assert await retry.text() == "so far and on"
    assert gateway.heard == ["slow"]


async def test_the_queue_is_bounded_over_all_processes(gateway: FakeGateway) -> None:
    processes = Processes(gateway, rules=TurnRules(max_waiting=2))
    asked = [processes.client(number % 2).ask(f"q{number}") for number in range(3)]
    await asyncio.sleep(0.1)
    failure = await processes.client(1).ask("one too many").failure()
    assert (failure.code, failure.delivery) == (FailureCode.TURN_QUEUE_FULL, Delivery.NO)
    assert failure.retry_after
    assert 1 <= failure.retry_after <= 4
    for each in asked:
        await each.text()
    assert len(processes.board.tickets) == 0


async def test_without_the_state_nothing_is_delivered_and_nothing_is_stuck(
    gateway: FakeGateway, processes: Processes
) -> None:
    processes.tickets[0].broken = True
    failure = await processes.client(0).ask("hello").failure()
    assert (failure.code, failure.delivery) == (FailureCode.STATE_UNAVAILABLE, Delivery.NO)
    processes.tickets[0].broken = False
    assert await processes.client(0).ask("hello").text() == "You said: hello"
    assert gateway.heard == ["hello"]


async def test_who_hangs_up_while_waiting_makes_way(gateway: FakeGateway, processes: Processes) -> None:
    slow = processes.client(0).ask("slow")
    await asyncio.sleep(1)
    await processes.client(1).ask("never mind").hang_up_after(1)
    last = processes.client(0).ask("hello")
    await slow.text()
    assert await last.text() == "You said: hello"
    assert gateway.heard == ["slow", "hello"]


async def test_queue_lengths_are_those_of_all_processes(gateway: FakeGateway, processes: Processes) -> None:
    asked = [processes.client(number % 2).ask(f"q{number}") for number in range(3)]
    await asyncio.sleep(1)
    for turns in processes.turns:
        assert await turns.queue_lengths() == {(ANNA.id, None): 2}
    for each in asked:
        each.hang_up()


async def test_nothing_is_remembered_in_one_process_alone(processes: Processes) -> None:
    for number in range(3):
        await processes.client(0).ask("hello", Identity(str(number).encode())).text()
        await processes.client(0).ask("hello", Identity(b"", str(number))).text()
    await asyncio.sleep(1)
    retries = processes.turns[0]._retry_index
    assert (retries._by_body, retries._by_id, retries._characters) == ({}, {}, {})


async def test_the_same_words_are_a_new_message_also_if_no_answer_is_kept(
    gateway: FakeGateway, processes: Processes
) -> None:
    for turn_store in processes.turn_stores:
        turn_store.forgets_answers = True
    for process in (0, 1, 1, 0):
        assert await processes.client(process).ask("ok", BODY).text() == "You said: ok"
        await asyncio.sleep(1)
    assert gateway.heard == ["ok"] * 4


async def test_a_retry_is_answered_by_the_backend_if_no_answer_is_kept(
    gateway: FakeGateway, processes: Processes
) -> None:
    for turn_store in processes.turn_stores:
        turn_store.forgets_answers = True
    await processes.client(0, sync=True).ask("slow", BODY).hang_up_after(1)
    assert await processes.client(1).ask("slow", BODY).text() == "so far and on"
    assert gateway.heard == ["slow"]


async def test_an_end_that_could_not_be_written_down_is_written_later(
    gateway: FakeGateway, processes: Processes
) -> None:
    slow = processes.client(0).ask("slow", BODY)
    await asyncio.sleep(1)
    processes.turn_stores[0].broken = True
    await slow.text()
    await asyncio.sleep(60)
    processes.turn_stores[0].broken = False
    await asyncio.sleep(5)
    again = processes.client(1).ask("slow", BODY)
    await again.text()
    assert not again.reading.replayed
    assert gateway.heard == ["slow", "slow"]


@pytest.mark.parametrize("identity", [BODY, Identity(b"body", "key")])
async def test_who_hangs_up_while_it_is_written_down_leaves_nothing_behind(
    gateway: FakeGateway, processes: Processes, identity: Identity
) -> None:
    processes.turn_stores[0].writes_for = 10.0
    await processes.client(0).ask("hello", identity).hang_up_after(1)
    await asyncio.sleep(5)
    assert gateway.heard == []
    retry = processes.client(1).ask("hello", identity)
    assert await retry.text() == "You said: hello"
    assert not retry.reading.replayed
    assert gateway.heard == ["hello"]


async def test_a_retry_that_comes_while_it_is_seen_who_is_wanted(gateway: FakeGateway, processes: Processes) -> None:
    processes.tickets[0].looks_for = 2.0
    await processes.client(0).ask("slow", BODY).hang_up_after(1)
    await asyncio.sleep(3)
    assert await processes.client(0).ask("slow", BODY).text() == "so far and on"
    assert gateway.cancelled == []
    assert gateway.heard == ["slow"]


async def test_to_continue_is_said_in_words_whoever_was_told_the_question(
    gateway: FakeGateway, processes: Processes
) -> None:
    for process, continues in ((0, Continues.NO), (1, Continues.PERHAPS), (0, Continues.PERHAPS)):
        request = TurnRequest(ANNA, UserMessage("a story"), "chat", continues=continues)
        await processes.client(process).ask(request, Identity(continues.encode())).text()
    assert gateway.heard[0] == "a story"
    assert "continue" in gateway.heard[1]


async def test_another_answer_is_asked_for_in_words_whoever_gave_the_first(
    gateway: FakeGateway, processes: Processes
) -> None:
    for process in (0, 1):
        request = TurnRequest(ANNA, UserMessage("a joke"), "chat", user_message_id="u1")
        await processes.client(process).ask(request, Identity(b"", message_id=f"m{process}")).text()
    assert gateway.heard[0] == "a joke"
    assert gateway.heard[1].startswith("(The user asks for another answer")


@pytest.mark.parametrize("identity", [BODY, Identity(b"body", "key")])
async def test_a_record_that_was_perhaps_written_is_not_taken_for_a_dead_process(
    gateway: FakeGateway, processes: Processes, identity: Identity
) -> None:
    processes.turn_stores[0].loses_replies = True
    for _ in range(2):
        failure = await processes.client(0).ask("hello", identity).failure()
        assert (failure.code, failure.delivery) == (FailureCode.STATE_UNAVAILABLE, Delivery.NO)
    processes.turn_stores[0].loses_replies = False
    assert await processes.client(0).ask("hello", identity).text() == "You said: hello"
    await asyncio.sleep(60)
    retry = processes.client(1).ask("hello", Identity(identity.body, identity.idempotency_key, retry_count=1))
    assert await retry.text() == "You said: hello"
    assert gateway.heard == ["hello"]


async def test_who_did_not_get_the_answer_is_known_though_it_is_written_down_late(
    gateway: FakeGateway, processes: Processes
) -> None:
    slow = processes.client(0).ask("slow", BODY)
    await asyncio.sleep(1)
    processes.turn_stores[0].broken = True
    await asyncio.sleep(15)
    slow.hang_up()
    processes.turn_stores[0].broken = False
    await asyncio.sleep(5)
    assert await processes.client(1).ask("slow", BODY).text() == "so far and on"
    assert gateway.heard == ["slow"]
