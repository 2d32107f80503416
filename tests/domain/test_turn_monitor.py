"""What operators are told of turns, and what observers hear of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from domain.model.agent import Agent
from domain.model.events import Accepted, Ended, Text, ToolCall, ToolResult, Usage
from domain.model.identity import Identity
from domain.model.turn_report import TurnReport, TurnStage
from domain.services.turn_monitor import TurnMonitor
from ports.turn_observer import PreventionRule
from tests.fakes.gateway import ANNA, FakeGateway, Step
from tests.fakes.services import Client, turns_of

pytestmark = pytest.mark.anyio


class Listener:
    """A `TurnObserver` that writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, TurnReport]] = []
        self.rules: list[PreventionRule] = []
        self.accepted_by: list[Agent] = []

    @contextmanager
    def began(self, turn: TurnReport) -> Iterator[None]:
        self.heard.append(("began", turn))
        yield

    def accepted(self, agent: Agent) -> None:
        self.accepted_by.append(agent)

    def ended(self, turn: TurnReport) -> None:
        self.heard.append(("ended", turn))

    def prevented(self, rule: PreventionRule, turn_id: str) -> None:
        self.rules.append(rule)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def monitor(listener: Listener) -> TurnMonitor:
    return TurnMonitor([listener], with_texts=True)


@pytest.fixture
def gateway() -> FakeGateway:
    tools: list[Step] = [
        Accepted("run"),
        ToolCall("c1", "list", "{}"),
        ToolResult("c1", "milk"),
        ToolCall("c2", "list", "{}"),
        ToolResult("c2", "milk"),
        Text("milk"),
        Usage(7, 3),
        Ended(),
    ]
    return FakeGateway(answers={"tools": tools, "slow": [Accepted("run"), 5.0, Text("at last"), Ended()]})


async def test_the_report_of_a_turn_tells_its_tools_tokens_and_times(
    gateway: FakeGateway, monitor: TurnMonitor
) -> None:
    await Client(turns_of(gateway, monitor=monitor)).ask("tools").answer()
    [report] = monitor.last()
    assert report.stage is TurnStage.ENDED
    assert report.failure is None
    assert report.tools == {"list": 2}
    assert (report.prompt_tokens, report.completion_tokens) == (7, 3)
    assert report.sent_at is not None
    assert report.accepted_at is not None
    assert report.first_word_at is not None
    assert report.ended_at is not None
    assert report.asked_at <= report.sent_at <= report.accepted_at <= report.first_word_at <= report.ended_at
    assert (report.question, report.answer) == ("tools", "milk")


async def test_observers_hear_of_the_beginning_the_delivery_and_the_end_of_a_turn(
    gateway: FakeGateway, monitor: TurnMonitor, listener: Listener
) -> None:
    await Client(turns_of(gateway, monitor=monitor)).ask("tools").answer()
    assert [(what, turn.stage) for what, turn in listener.heard] == [
        ("began", TurnStage.WAITING),
        ("ended", TurnStage.ENDED),
    ]
    assert len({turn.id for _, turn in listener.heard}) == 1
    assert listener.accepted_by == [ANNA]


async def test_a_turn_that_goes_on_is_reported_with_its_place_in_the_queue(
    gateway: FakeGateway, monitor: TurnMonitor
) -> None:
    client = Client(turns_of(gateway, monitor=monitor))
    first, second, third = client.ask("slow"), client.ask("slow"), client.ask("slow")
    assert await first.reading.reader.peek(until=1e9) is not None
    stages = [(report.stage, report.place) for report in monitor.running()]
    assert stages == [(TurnStage.RUNNING, 0), (TurnStage.WAITING, 1), (TurnStage.WAITING, 2)]
    for asked in (first, second, third):
        await asked.answer()
    assert monitor.running() == []
    assert len(monitor.last()) == 3


@pytest.mark.parametrize(
    ("identity", "rule"),
    [
        (Identity(b"body"), PreventionRule.BODY),
        (Identity(b"body", idempotency_key="key"), PreventionRule.IDEMPOTENCY_KEY),
        (Identity(b"body", message_id="m1"), PreventionRule.MESSAGE_ID),
        (Identity(b"body", job="job_1"), PreventionRule.JOB),
    ],
)
async def test_a_retry_is_counted_with_the_turn_that_it_got_and_by_its_rule(
    gateway: FakeGateway, monitor: TurnMonitor, listener: Listener, identity: Identity, rule: PreventionRule
) -> None:
    client = Client(turns_of(gateway, monitor=monitor), sync=True)
    await client.ask("slow", identity).hang_up_after(1)
    assert await client.ask("slow", identity).text() == "at last"
    assert listener.rules == [rule]
    assert [report.retries for report in monitor.last()] == [1]
    assert gateway.heard == ["slow"]


async def test_without_leave_no_text_is_in_a_report(gateway: FakeGateway) -> None:
    monitor = TurnMonitor()
    await Client(turns_of(gateway, monitor=monitor)).ask("tools").answer()
    [report] = monitor.last()
    assert (report.question, report.answer) == (None, None)
