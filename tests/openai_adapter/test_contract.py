"""The gateways of servers with OpenAI's API keep the contract, before a scripted model."""

from collections.abc import AsyncIterator

import pytest

from adapters.memory.history_store import MemoryHistoryStore
from adapters.openai.gateways import AgentServerGateway, ChatServerGateway, ModelGateway
from adapters.openai.upstream import Upstream
from ports.contract.abilities import RunCancellationContract
from ports.contract.conversations import (
    ChatConversationsContract,
    ConversationForksContract,
    ConversationHistoryContract,
    ConversationListContract,
    ConversationNamesContract,
)
from ports.contract.gateway import GatewayContract
from ports.contract.samples import Samples
from tests.openai_adapter.conftest import Model

SAMPLES = Samples(plain="hello", plain_says="Hello from the stub model .", slow="[[drip 100 0.1]]")


class TestModelGateway(
    GatewayContract,
    RunCancellationContract,
    ChatConversationsContract,
    ConversationListContract,
    ConversationNamesContract,
    ConversationForksContract,
    ConversationHistoryContract,
):
    @pytest.fixture
    async def gateway(self, model: Model) -> AsyncIterator[ModelGateway]:
        gateway = ModelGateway(Upstream(f"{model.url}/v1", "k"), MemoryHistoryStore(), "models")
        yield gateway
        await gateway.close()

    @pytest.fixture
    def samples(self) -> Samples:
        return SAMPLES


class TestAgentServerGateway(GatewayContract, RunCancellationContract):
    @pytest.fixture
    async def gateway(self, model: Model) -> AsyncIterator[AgentServerGateway]:
        gateway = AgentServerGateway(Upstream(f"{model.url}/v1", None))
        yield gateway
        await gateway.close()

    @pytest.fixture
    def samples(self) -> Samples:
        return SAMPLES


class TestChatServerGateway(GatewayContract, RunCancellationContract, ChatConversationsContract):
    @pytest.fixture
    async def gateway(self, model: Model) -> AsyncIterator[ChatServerGateway]:
        gateway = ChatServerGateway(Upstream(f"{model.url}/v1", None), "x-chat")
        yield gateway
        await gateway.close()

    @pytest.fixture
    def samples(self) -> Samples:
        return SAMPLES
