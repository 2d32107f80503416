"""What becomes of a delivery that the backend refuses, loses, or does not end."""

import asyncio

import pytest

from domain.model.answer_text import whole_text
from domain.model.events import Accepted, ApprovalRequest, Ended, Failed, Text, ToolCall, ToolResult
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError, with_fate
from domain.model.run_record import RunRecord, RunSearch
from domain.model.turn import Turn, TurnRequest, UserMessage, Verdict
from domain.model.turn_rules import TurnRules
from tests.fakes.gateway import ANNA, FakeGateway, Step
from tests.fakes.services import Client, turns_of

pytestmark = pytest.mark.anyio

HERE = (ANNA.id, None)
CALL = ApprovalRequest("call-1", "delete_todo", '{"number": 2}')
LOST = Failure(FailureCode.CONNECTION_LOST, Delivery.UNKNOWN, "reset")
DOWN = FailureError(Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO))
GOING_ON = RunRecord(over=False, remembered=False, events=())


def in_chat(text: str, chat: str = "chat") -> TurnRequest:
    return TurnRequest(ANNA, UserMessage(text), chat)


async def test_a_busy_conversation_is_waited_for() -> None:
    gateway = FakeGateway()
    gateway.busy.add(HERE)
    asked = Client(turns_of(gateway)).ask("hello")
    asyncio.get_running_loop().call_later(20, gateway.busy.clear)
    assert await asked.text() == "You said: hello"
    assert 20 <= asyncio.get_running_loop().time() <= 23
    assert gateway.heard == ["hello"]


async def test_a_conversation_that_stays_busy_is_given_up() -> None:
    gateway = FakeGateway()
    gateway.busy.add(HERE)
    failure = await Client(turns_of(gateway, TurnRules(busy_timeout=30))).ask("hello").failure()
    assert (failure.code, failure.delivery) == (FailureCode.CONVERSATION_BUSY, Delivery.NO)
    assert failure.retry_after
    assert 1 <= failure.retry_after <= 4
    assert 30 <= asyncio.get_running_loop().time() <= 34
    assert gateway.heard == []


async def test_a_chat_gets_a_conversation_of_its_own_and_keeps_it() -> None:
    gateway = FakeGateway()
    client = Client(turns_of(gateway))
    await asyncio.gather(*(client.ask(in_chat(text)).text() for text in ("one", "two", "three")))
    await client.ask(in_chat("elsewhere", "other chat")).text()
    await client.ask("no chat").text()
    assert {turn.message.text: turn.conversation for turn in gateway.delivered if turn.message} == {
        "one": "conversation-1",
        "two": "conversation-1",
        "three": "conversation-1",
        "elsewhere": "conversation-2",
        "no chat": None,
    }
    assert gateway.opened == 2


async def test_a_conversation_that_was_deleted_is_made_anew_once() -> None:
    gateway = FakeGateway()
    client = Client(turns_of(gateway))
    await client.ask(in_chat("before")).text()
    gateway.kept_conversations.clear()
    assert await client.ask(in_chat("after")).text() == "You said: after"
    assert await client.ask(in_chat("later")).text() == "You said: later"
    assert [turn.conversation for turn in gateway.delivered] == ["conversation-1", "conversation-2", "conversation-2"]


async def test_a_conversation_that_is_gone_again_and_again_is_an_error() -> None:
    class Forgetful(FakeGateway):
        async def open_conversation(self, agent: object) -> str:
            return "never kept"

    failure = await Client(turns_of(Forgetful())).ask(in_chat("hello")).failure()
    assert (failure.code, failure.delivery) == (FailureCode.CONVERSATION_GONE, Delivery.NO)


@pytest.mark.parametrize(
    ("text", "verdict", "delivers"),
    [
        ("/approve", Verdict(("call-1",), True), None),
        ("/deny too risky", Verdict(("call-1",), False, "too risky"), None),
        ("never mind", None, "never mind"),
    ],
)
async def test_a_waiting_tool_call_is_answered_by_the_next_message(
    text: str, verdict: Verdict | None, delivers: str | None
) -> None:
    gateway = FakeGateway(answers={"delete it": [Accepted("run"), CALL, Ended()]})
    client = Client(turns_of(gateway))
    assert "/approve" in await client.ask("delete it").text()
    await client.ask(text).text()
    first, second = gateway.delivered
    assert first.verdict is None
    assert second.verdict is not None
    if verdict is not None:
        assert second.verdict == verdict
    assert (second.message.text if second.message else None) == delivers
    assert not second.verdict.approve or delivers is None
    assert not gateway.waiting


async def test_a_call_that_waits_from_elsewhere_is_answered_as_well() -> None:
    gateway = FakeGateway()
    gateway.waiting[HERE] = [CALL, ApprovalRequest("call-2", "shout")]
    assert await Client(turns_of(gateway)).ask("hello").text() == "You said: hello"
    [turn] = gateway.delivered
    assert turn.verdict is not None
    assert turn.verdict.call_ids == ("call-1", "call-2")


async def test_a_command_without_anything_that_waits_is_a_message() -> None:
    gateway = FakeGateway()
    assert await Client(turns_of(gateway)).ask("/approve").text() == "You said: /approve"


async def test_a_broken_answer_is_finished_from_the_record_without_saying_anything_twice() -> None:
    gateway = FakeGateway(answers={"q": [Accepted("run"), Text("Let me "), Text("look"), LOST]})
    step = (Text("Let me look."), ToolCall("call-1", "search", "{}"), ToolResult("call-1", "found"))
    gateway.records["run-1"] = [
        GOING_ON,
        DOWN,
        RunRecord(over=False, remembered=True, events=step),
        RunRecord(over=True, remembered=True, events=(*step, Text("Found it."), Ended())),
    ]
    asked = Client(turns_of(gateway)).ask("q")
    assert await asked.text() == "Let me look.\n\nFound it."
    assert gateway.heard == ["q"]
    assert gateway.cancelled == []
    assert sum(isinstance(event, ToolCall) for event in asked.events) == 1


async def test_a_connection_that_broke_before_the_first_word_is_no_loss() -> None:
    broken = Failure(FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN, "reset")
    gateway = FakeGateway(answers={"q": [broken]})
    gateway.records["run-1"] = [GOING_ON, RunRecord(over=True, remembered=True, events=(Text("All of it."), Ended()))]
    assert await Client(turns_of(gateway)).ask("q").text() == "All of it."
    assert gateway.heard == ["q"]


async def test_a_delivery_that_the_backend_knows_nothing_of_stays_unknown() -> None:
    class Forgetful(FakeGateway):
        async def find_run(self, turn: Turn) -> RunSearch:
            return RunSearch()

    broken = Failure(FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN, "reset")
    assert await Client(turns_of(Forgetful(answers={"q": [broken]}))).ask("q").failure() == broken


async def test_a_run_that_failed_meanwhile_says_so() -> None:
    gateway = FakeGateway(answers={"q": [Accepted("run"), Text("so far"), LOST]})
    failed = Failed(Failure(FailureCode.LLM_ERROR, Delivery.YES))
    gateway.records["run-1"] = [RunRecord(over=True, remembered=True, events=(Text("so far, so bad"), failed))]
    asked = Client(turns_of(gateway)).ask("q")
    assert (await asked.failure()).code is FailureCode.LLM_ERROR
    assert whole_text(asked.events) == "so far, so bad"


async def test_a_run_without_progress_is_given_up_and_not_stopped() -> None:
    gateway = FakeGateway(answers={"q": [Accepted("run"), Text("so far"), LOST]})
    gateway.records["run-1"] = [GOING_ON]
    assert await Client(turns_of(gateway)).ask("q").failure() == LOST
    assert 45 <= asyncio.get_running_loop().time() <= 49
    assert gateway.cancelled == []


async def test_progress_makes_patient() -> None:
    gateway = FakeGateway(answers={"q": [Accepted("run"), LOST]})
    words = [Text(f"word {number} ") for number in range(60)]
    gateway.records["run-1"] = [
        *(RunRecord(over=False, remembered=True, events=tuple(words[: number + 1])) for number in range(60)),
        RunRecord(over=True, remembered=True, events=(*words, Ended())),
    ]
    assert "word 59" in await Client(turns_of(gateway, TurnRules(recovery_timeout=5))).ask("q").text()
    assert asyncio.get_running_loop().time() > 100


@pytest.mark.parametrize(
    ("over", "kept", "delivery"),
    [(False, True, Delivery.YES), (True, False, Delivery.NO), (False, False, Delivery.UNKNOWN)],
)
async def test_a_run_whose_server_was_away_is_given_up_and_unlocked(over: bool, kept: bool, delivery: Delivery) -> None:
    class Gateway(FakeGateway):
        async def cancel(self, turn: Turn, run_id: str) -> None:
            await super().cancel(turn, run_id)
            self.records[run_id] = [RunRecord(over=over, remembered=kept, events=())]

    gateway = Gateway(answers={"q": [Accepted("run"), Text("so far"), LOST]})
    gateway.records["run-1"] = [DOWN, RunRecord(over=False, remembered=kept, events=())]
    failure = await Client(turns_of(gateway)).ask("q").failure()
    assert (failure.code, failure.delivery) == (FailureCode.CONNECTION_LOST, delivery)
    assert gateway.cancelled == ["run-1"]


async def test_a_record_that_contradicts_the_stream_is_not_mixed_with_it() -> None:
    gateway = FakeGateway(answers={"q": [Accepted("run"), Text("Good morning"), LOST]})
    gateway.records["run-1"] = [RunRecord(over=True, remembered=True, events=(Text("Good night"), Ended()))]
    asked = Client(turns_of(gateway)).ask("q")
    assert await asked.failure() == with_fate(LOST, Delivery.YES)
    assert whole_text(asked.events) == "Good morning"


async def test_a_turn_that_takes_too_long_is_stopped_by_its_run() -> None:
    gateway = FakeGateway(answers={"q": [Accepted("run"), Text("so far"), 9999.0, Ended()]})
    client = Client(turns_of(gateway, TurnRules(turn_timeout=60)))
    failure = await client.ask("q").failure()
    assert (failure.code, failure.delivery) == (FailureCode.TURN_TIMEOUT, Delivery.NO)
    assert gateway.cancelled == ["run-1"]
    assert asyncio.get_running_loop().time() <= 62
    assert await client.ask("next").text() == "You said: next"


async def test_a_turn_whose_time_is_over_while_it_waits_is_not_delivered_any_more() -> None:
    gateway = FakeGateway()
    gateway.busy.add(HERE)
    asked = Client(turns_of(gateway, TurnRules(turn_timeout=20, busy_timeout=60))).ask("q")
    asyncio.get_running_loop().call_later(25, gateway.busy.clear)
    failure = await asked.failure()
    assert (failure.code, failure.delivery) == (FailureCode.TURN_TIMEOUT, Delivery.NO)
    await asyncio.sleep(100)
    assert gateway.heard == []


async def test_what_a_stopped_turn_has_done_is_remembered() -> None:
    script: list[Step] = [Accepted("run"), ToolCall("c", "search", "{}"), ToolResult("c", "found"), 9999.0, Ended()]
    gateway = FakeGateway(answers={"q": script})
    failure = await Client(turns_of(gateway, TurnRules(turn_timeout=60))).ask("q").failure()
    assert (failure.code, failure.delivery) == (FailureCode.TURN_TIMEOUT, Delivery.YES)


async def test_a_run_that_does_not_stop_keeps_the_client_waiting_for_ten_seconds_more_and_the_lane_for_sixty() -> None:
    class Deaf(FakeGateway):
        async def cancel(self, turn: object, run_id: str) -> None:
            self.cancelled.append(run_id)

    gateway = Deaf(answers={"q": [Accepted("run"), 9999.0, Ended()]})
    client = Client(turns_of(gateway, TurnRules(turn_timeout=60)))
    asked, behind = client.ask("q"), client.ask("next")
    assert await asked.failure() == Failure(FailureCode.TURN_TIMEOUT, Delivery.YES, "it did not stop")
    assert asyncio.get_running_loop().time() == 70
    assert await behind.text() == "You said: next"
    assert asyncio.get_running_loop().time() == 120
