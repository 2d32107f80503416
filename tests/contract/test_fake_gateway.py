"""The fake keeps the contract, so that what tests learn from it holds for the real ones."""

import pytest

from domain.model.events import Accepted, Ended, Reasoning, Text, ToolCall, ToolResult, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.turn import Turn, UserMessage
from ports.contract.abilities import (
    AgentSearchContract,
    CredentialCheckContract,
    DeduplicationContract,
    RunCancellationContract,
    RunRecordsContract,
    ToolApprovalsContract,
    ToolsContract,
)
from ports.contract.conversations import (
    ChatConversationsContract,
    ConversationForksContract,
    ConversationHistoryContract,
    ConversationListContract,
    ConversationNamesContract,
)
from ports.contract.gateway import GatewayContract
from ports.contract.samples import Samples, events_of
from tests.fakes.gateway import ANNA, BERT, FakeGateway, Step

WITH_A_TOOL: list[Step] = [
    Accepted("run-1"),
    Reasoning("Let me look."),
    0.001,
    ToolCall("call-1", name="search"),
    ToolCall("call-1", arguments='{"query":'),
    ToolCall("call-1", arguments=' "x"}'),
    ToolResult("call-1", "found"),
    Text("I looked "),
    Text("it up."),
    Ended(),
]


class TestFakeGateway(
    GatewayContract,
    CredentialCheckContract,
    AgentSearchContract,
    RunCancellationContract,
    RunRecordsContract,
    DeduplicationContract,
    ChatConversationsContract,
    ConversationListContract,
    ConversationNamesContract,
    ConversationForksContract,
    ConversationHistoryContract,
    ToolApprovalsContract,
    ToolsContract,
):
    @pytest.fixture
    def gateway(self) -> FakeGateway:
        return FakeGateway(answers={"use a tool": WITH_A_TOOL, "slow": [Accepted("run-1"), 60.0, Ended()]})

    @pytest.fixture
    def samples(self) -> Samples:
        return Samples(
            plain="hello", plain_says="You said: hello", tool="use a tool", tool_says="I looked it up.", slow="slow"
        )


@pytest.mark.anyio
async def test_the_script_is_played_and_the_delivery_is_recorded() -> None:
    script: list[TurnEvent] = [Accepted(), Text("Hi."), Ended()]
    gateway = FakeGateway(answers={"hello": script})
    assert await events_of(gateway, ANNA, "hello") == script
    assert [turn.message for turn in gateway.delivered] == [UserMessage("hello")]
    assert gateway.closed_early == []


@pytest.mark.anyio
async def test_a_failure_before_delivery_records_none() -> None:
    gateway = FakeGateway(answers={"hello": [Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)]})
    with pytest.raises(FailureError):
        await events_of(gateway, ANNA, "hello")
    assert gateway.delivered == []
    assert gateway.closed_early == []


@pytest.mark.anyio
async def test_a_hang_up_is_recorded_but_not_one_after_the_end() -> None:
    gateway = FakeGateway()
    cut, whole = Turn(ANNA, UserMessage("cut")), Turn(BERT, UserMessage("whole"))
    events = gateway.run(cut)
    await anext(events)
    await events.aclose()
    events = gateway.run(whole)
    while not isinstance(await anext(events), Ended):
        pass
    await events.aclose()
    assert gateway.delivered == [cut, whole]
    assert gateway.closed_early == [cut]
