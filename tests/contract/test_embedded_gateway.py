"""The embedded backend keeps the contract."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.embedded.gateway import EmbeddedGateway
from ports.contract.abilities import AgentSearchContract, CredentialCheckContract, ToolsContract
from ports.contract.conversations import (
    ChatConversationsContract,
    ConversationForksContract,
    ConversationHistoryContract,
    ConversationListContract,
    ConversationNamesContract,
)
from ports.contract.gateway import GatewayContract
from ports.contract.samples import Samples


class TestEmbeddedGateway(
    GatewayContract,
    CredentialCheckContract,
    AgentSearchContract,
    ChatConversationsContract,
    ConversationListContract,
    ConversationNamesContract,
    ConversationForksContract,
    ConversationHistoryContract,
    ToolsContract,
):
    @pytest.fixture
    async def gateway(self, tmp_path: Path) -> AsyncIterator[EmbeddedGateway]:
        gateway = EmbeddedGateway(tmp_path / "notebook.sqlite", ("anna", "bert"))
        yield gateway
        await gateway.close()

    @pytest.fixture
    def samples(self) -> Samples:
        return Samples(
            plain="Who are you?",
            plain_says="not a language model",
            tool="Add buy milk to my todo list",
            tool_says="“buy milk”",
        )
