"""The Letta gateway keeps the contract, on recorded bytes that are cut into pieces anywhere."""

from collections.abc import AsyncIterator

import pytest

from adapters.letta.client import letta_client
from adapters.letta.gateway import LettaGateway
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
from ports.contract.samples import Samples
from tests.letta_adapter.replay import ReplayLetta


class TestLettaGateway(
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
    ToolApprovalsContract,
    ConversationHistoryContract,
    ToolsContract,
):
    @pytest.fixture
    async def gateway(self) -> AsyncIterator[LettaGateway]:
        async with ReplayLetta().serving() as letta:
            gateway = LettaGateway(letta_client(letta.url, None))
            yield gateway
            await gateway.close()

    @pytest.fixture
    def samples(self) -> Samples:
        return Samples(
            plain="text",
            plain_says="Hello from the stub model .",
            slow="until_cancelled",
            tool="tool_then_text",
            tool_says="The tool answered 1 time(s) , all done .",
        )
