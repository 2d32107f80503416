"""What becomes of a turn whose clients go away."""

import asyncio
from collections.abc import Sequence

import pytest

from domain.model.events import Accepted, Ended, Text, ToolCall, ToolResult
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.turn_rules import OnDisconnect, TurnRules
from tests.fakes.gateway import FakeGateway, Step
from tests.fakes.services import Client, turns_of

pytestmark = pytest.mark.anyio

SLOW: Sequence[Step] = [Accepted("run"), Text("so far"), 10.0, Text(" and on"), Ended()]
AFTER_A_TOOL: Sequence[Step] = [
    Accepted("run"),
    Text("I look."),
    ToolCall("c", "search", "{}"),
    ToolResult("c", "found"),
    Text("It "),
    10.0,
    Text("is here."),
    Ended(),
]


def gateway_with(script: Sequence[Step] = SLOW) -> FakeGateway:
    return FakeGateway(answers={"q": script})


def rules(policy: OnDisconnect) -> TurnRules:
    return TurnRules(on_disconnect=policy)


@pytest.mark.parametrize(
    ("policy", "sync", "stopped"),
    [
        (OnDisconnect.AUTO, False, True),
        (OnDisconnect.AUTO, True, False),
        (OnDisconnect.CANCEL, False, True),
        (OnDisconnect.CANCEL, True, True),
        (OnDisconnect.FINISH, False, False),
        (OnDisconnect.FINISH, True, False),
    ],
)
async def test_the_policy_decides(policy: OnDisconnect, sync: bool, stopped: bool) -> None:
    gateway = gateway_with()
    client = Client(turns_of(gateway, rules(policy)), sync)
    await client.ask("q").hang_up_after(1)
    await asyncio.sleep(1.9)
    assert gateway.cancelled == []
    await asyncio.sleep(30)
    assert gateway.cancelled == (["run-1"] if stopped else [])
    assert gateway.heard == ([] if stopped else ["q"])
    assert await client.ask("next").text() == "You said: next"


async def test_who_comes_back_within_the_grace_reads_on() -> None:
    gateway = gateway_with()
    client = Client(turns_of(gateway))
    await client.ask("q", b"same").hang_up_after(1)
    await asyncio.sleep(1.5)
    again = client.ask("q", b"same")
    assert again.replayed
    assert await again.text() == "so far and on"
    assert gateway.cancelled == []
    assert gateway.heard == ["q"]


async def test_one_of_two_that_hangs_up_does_not_disturb_the_other() -> None:
    gateway = gateway_with()
    client = Client(turns_of(gateway))
    first = client.ask("q", b"same")
    await first.hang_up_after(1)
    second = client.ask("q", b"same")
    second.hang_up()
    third = client.ask("q", b"same")
    assert await third.text() == "so far and on"
    assert gateway.heard == ["q"]


async def test_a_stream_that_hangs_up_does_not_stop_what_a_plain_request_waits_to_ask_for_again() -> None:
    gateway = gateway_with()
    turns = turns_of(gateway)
    await Client(turns, sync=True).ask("q", b"same").hang_up_after(1)
    Client(turns).ask("q", b"same").hang_up()
    await asyncio.sleep(30)
    assert gateway.cancelled == []
    assert gateway.heard == ["q"]


@pytest.mark.parametrize("policy", OnDisconnect)
@pytest.mark.parametrize("sync", [False, True])
async def test_who_waits_and_hangs_up_is_not_delivered(policy: OnDisconnect, sync: bool) -> None:
    gateway = gateway_with()
    client = Client(turns_of(gateway, rules(policy)), sync)
    running = client.ask("q")
    await client.ask("never").hang_up_after(1)
    behind = client.ask("next")
    await running.text()
    assert await behind.text() == "You said: next"
    assert gateway.heard == ["q", "next"]


async def test_who_waits_and_comes_back_at_once_keeps_the_place() -> None:
    gateway = gateway_with()
    client = Client(turns_of(gateway), sync=True)
    running = client.ask("q")
    await client.ask("second", b"same").hang_up_after(1)
    third = client.ask("third")
    second = client.ask("second", b"same")
    await asyncio.gather(running.text(), second.text(), third.text())
    assert gateway.heard == ["q", "second", "third"]


async def test_nobody_is_delivered_whose_turn_comes_after_the_hang_up() -> None:
    gateway = gateway_with()
    client = Client(turns_of(gateway))
    running, second = client.ask("q"), client.ask("second")
    answering = asyncio.create_task(running.text())
    await second.hang_up_after(9)
    await answering
    await asyncio.sleep(5)
    assert gateway.heard == ["q"]


async def test_who_hangs_up_while_the_conversation_is_busy_is_not_delivered() -> None:
    gateway = FakeGateway()
    gateway.busy.add(("agent-00000000-0000-4000-8000-00000000000a", None))
    await Client(turns_of(gateway), sync=True).ask("hello").hang_up_after(5)
    await asyncio.sleep(3)
    gateway.busy.clear()
    await asyncio.sleep(30)
    assert gateway.heard == []


async def test_a_run_without_a_name_is_stopped_when_it_gets_one() -> None:
    gateway = gateway_with([8.0, Accepted("run"), 10.0, Text("too late"), Ended()])
    await Client(turns_of(gateway)).ask("q").hang_up_after(1)
    await asyncio.sleep(5)
    assert gateway.cancelled == []
    await asyncio.sleep(10)
    assert gateway.cancelled == ["run-1"]
    assert gateway.heard == []


async def test_after_a_stop_that_left_no_trace_a_retry_is_delivered_anew() -> None:
    gateway = gateway_with()
    client = Client(turns_of(gateway))
    await client.ask("q", b"same").hang_up_after(1)
    await asyncio.sleep(20)
    assert gateway.heard == []
    assert await client.ask("q", b"same").text() == "so far and on"
    assert gateway.heard == ["q"]


async def test_a_retry_during_the_stop_waits_for_what_it_leaves_behind() -> None:
    for script, heard, says in (
        (SLOW, ["q"], "so far and on"),
        (AFTER_A_TOOL, ["q"], "I look.\n\nIt \n\n(This answer was interrupted here.)"),
    ):
        gateway = gateway_with(script)
        client = Client(turns_of(gateway))
        await client.ask("q", b"same").hang_up_after(1)
        await asyncio.sleep(2.5)
        assert gateway.cancelled == ["run-1"]
        assert await client.ask("q", b"same").text() == says
        assert gateway.heard == heard


async def test_after_a_stop_that_left_something_a_retry_gets_that() -> None:
    gateway = gateway_with(AFTER_A_TOOL)
    client = Client(turns_of(gateway))
    await client.ask("q", b"same").hang_up_after(1)
    await asyncio.sleep(20)
    again = client.ask("q", b"same")
    assert again.replayed
    text = await again.text()
    assert text.startswith("I look.")
    assert text.endswith("(This answer was interrupted here.)")
    assert gateway.heard == ["q"]
    # Who has read that and asks again, means it.
    assert not client.ask("q", b"same").replayed


async def test_a_retry_that_gives_up_during_the_stop_does_not_make_it_forgotten() -> None:
    gateway = gateway_with(AFTER_A_TOOL)
    client = Client(turns_of(gateway))
    await client.ask("q", b"same").hang_up_after(1)
    await asyncio.sleep(2.2)
    client.ask("q", b"same").hang_up()
    await asyncio.sleep(30)
    assert "interrupted" in await client.ask("q", b"same").text()
    assert gateway.heard == ["q"]


async def test_a_stop_that_comes_too_late_is_no_stop() -> None:
    class Slow(FakeGateway):
        async def cancel(self, turn: object, run_id: str) -> None:
            await asyncio.sleep(60)

    gateway = Slow(answers={"q": SLOW})
    client = Client(turns_of(gateway))
    await client.ask("q", b"same").hang_up_after(1)
    await asyncio.sleep(3)
    assert await client.ask("q", b"same").text() == "so far and on"
    assert gateway.heard == ["q"]


async def test_a_backend_that_cannot_be_told_goes_on() -> None:
    gateway = gateway_with()
    client = Client(turns_of(gateway))
    await client.ask("q", b"same").hang_up_after(1)
    gateway.down = Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)
    await asyncio.sleep(5)
    gateway.down = None
    await asyncio.sleep(20)
    assert gateway.heard == ["q"]
