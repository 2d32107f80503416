"""From chats to conversations, when others are at work as well."""

import pytest

from adapters.memory.conversation_store import MemoryConversationStore
from adapters.memory.response_store import MemoryResponseStore
from domain.model.agent import Agent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.lane import DEFAULT_CHAT, name_of
from domain.model.turn import TurnRequest, UserMessage
from domain.services.conversation_heads import ConversationHeads
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


async def test_messages_without_a_chat_key_go_where_they_were_assigned() -> None:
    gateway, store = FakeGateway(), MemoryConversationStore()
    conversations = Conversations(alone(gateway), store)
    plain = TurnRequest(ANNA, UserMessage("hello"))
    assert await conversations.find_or_open(plain) is None
    await store.assign(ANNA.id, DEFAULT_CHAT, "assigned")
    assert await conversations.find_or_open(plain) == "assigned"
    assert await conversations.find_or_open(TurnRequest(ANNA, UserMessage("hi"), ephemeral=True)) == "conversation-1"
    assert await conversations.replace("assigned", plain) is None
    assert await conversations.find_or_open(plain) is None


class ForkingGateway(FakeGateway):
    """It copies."""

    async def fork_conversation(self, agent: Agent, conversation: str) -> str:
        return f"copy of {conversation}"


async def test_an_assigned_default_that_is_stuck_goes_on_in_a_copy() -> None:
    store = MemoryConversationStore()
    conversations = Conversations(alone(ForkingGateway()), store)
    plain = TurnRequest(ANNA, UserMessage("hello"))
    assert await conversations.fork(None, plain) is None
    await store.assign(ANNA.id, DEFAULT_CHAT, "assigned")
    assert await conversations.fork("assigned", plain) == "copy of assigned"
    assert await conversations.find_or_open(plain) == "copy of assigned"


async def test_a_response_is_not_gone_on_from_after_its_chat_was_given_another_conversation() -> None:
    store = MemoryResponseStore()
    heads = ConversationHeads(store)
    await store.move_head(name_of((ANNA.key, "chat")), "resp_1")
    await heads.leave((ANNA.key, "chat"))
    assert await store.head(name_of((ANNA.key, "chat"))) != "resp_1"
