"""The Letta gateway keeps the contract about conversations, before a real Letta server."""

from collections.abc import AsyncIterator

import pytest

from adapters.letta.client import letta_client
from adapters.letta.gateway import LettaGateway
from domain.model.history import HistoryEntry
from domain.model.turn import Turn, UserMessage
from ports.contract.conversations import (
    ChatConversationsContract,
    ConversationForksContract,
    ConversationHistoryContract,
    ConversationListContract,
    ConversationNamesContract,
)
from ports.contract.samples import Samples, events_of_turn, new_delivery_id
from tests.letta_server.admin import LettaAdmin
from tests.letta_server.lab import LettaLab

pytestmark = pytest.mark.letta


class TestLettaGateway(
    ChatConversationsContract,
    ConversationListContract,
    ConversationNamesContract,
    ConversationForksContract,
    ConversationHistoryContract,
):
    @pytest.fixture
    async def gateway(self, lab: LettaLab, admin: LettaAdmin) -> AsyncIterator[LettaGateway]:
        agents = [admin.create_agent(name) for name in ("first", "second")]
        gateway = LettaGateway(letta_client(lab.base_url, None))
        yield gateway
        await gateway.close()
        for agent in agents:
            admin.delete_agent(agent)

    @pytest.fixture
    def samples(self) -> Samples:
        return Samples(
            plain="hello",
            plain_says="Hello from the stub model .",
            tool="[[text+tool]]",
            tool_says="The tool answered 1 time(s) , all done .",
        )

    @pytest.mark.anyio
    @pytest.mark.parametrize("is_default", [False, True])
    async def test_a_long_history_is_read_in_pages_to_its_beginning(
        self, gateway: LettaGateway, is_default: bool
    ) -> None:
        agent = (await gateway.agents())[-1]
        conversation = None if is_default else await gateway.open_conversation(agent)
        for number in range(36):
            text = f"{number} [[text+tool]]" if number % 3 == 0 else str(number)
            turn = Turn(agent, UserMessage(text), conversation, delivery_id=new_delivery_id())
            await events_of_turn(gateway, turn)
        for most in (7, 40):
            paged: list[HistoryEntry] = []
            while page := await gateway.read_history(agent, conversation, most, paged[0].id if paged else None):
                paged = [*page, *paged]
            assert [entry.user.split()[0] for entry in paged if entry.user] == [str(number) for number in range(36)]
            assert len(paged) == 24 * 2 + 12 * 5
            assert len({entry.id for entry in paged}) == len(paged)
