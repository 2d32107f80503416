"""The Letta Code gateway keeps the contract, before a real App Server."""

from collections.abc import AsyncIterator

import pytest

from adapters.letta_code.gateway import LettaCodeGateway
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
from tests.letta_code_server.lab import LettaCodeLab

pytestmark = pytest.mark.letta_code


class TestLettaCodeGateway(
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
    async def gateway(self, lab: LettaCodeLab) -> AsyncIterator[LettaCodeGateway]:
        gateway = LettaCodeGateway(lab.url, None, "standard")
        yield gateway
        await gateway.close()

    @pytest.fixture
    def samples(self) -> Samples:
        return Samples(
            plain="hello",
            plain_says="Hello from the stub model .",
            tool='[[call Bash {"command": "echo done", "description": "say"}]]',
            tool_says="The tool answered 1 time(s) , all done .",
            slow="[[drip 100 0.1]]",
        )
