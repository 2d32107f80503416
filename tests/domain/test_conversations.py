"""From chats to conversations, when others are at work as well."""

import pytest

from adapters.memory.conversation_store import MemoryConversationStore
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.turn import TurnRequest, UserMessage
from domain.services.conversations import Conversations
from tests.fakes.gateway import ANNA, FakeGateway
from tests.fakes.services import alone

pytestmark = pytest.mark.anyio

REQUEST = TurnRequest(ANNA, UserMessage("hello"), "chat")


class OvertakenBook(MemoryConversationStore):
    """Another process keeps a conversation between the look and the writing."""

    async def keep(self, agent_id: str, chat: str, conversation: str) -> str:
        await super().keep(agent_id, chat, "of the other process")
        return await super().keep(agent_id, chat, conversation)


class StubbornGateway(FakeGateway):
    """It keeps what it has."""

    async def close_conversation(self, conversation: str) -> None:
        raise FailureError(Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO))


async def test_who_comes_second_takes_the_firsts_and_leaves_nothing_behind() -> None:
    gateway = FakeGateway()
    assert await Conversations(alone(gateway), OvertakenBook()).find_or_open(REQUEST) == "of the other process"
    assert (gateway.opened, gateway.kept_conversations) == (1, [])


async def test_what_cannot_be_cleared_away_is_no_failure() -> None:
    assert (
        await Conversations(alone(StubbornGateway()), OvertakenBook()).find_or_open(REQUEST) == "of the other process"
    )


async def test_a_conversation_that_another_process_has_replaced_is_not_replaced_again() -> None:
    gateway, store = FakeGateway(), MemoryConversationStore()
    await store.keep(ANNA.id, "chat", "the new one")
    assert await Conversations(alone(gateway), store).replace("the old one", REQUEST) == "the new one"
    assert gateway.opened == 0
