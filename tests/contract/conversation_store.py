"""What every conversation store must do. Subclass it with a `store` fixture."""

import time

import pytest

from domain.model.lane import DEFAULT_CHAT
from ports.conversation_store import ConversationStore


class ConversationStoreContract:
    """Chats are whatever clients call them."""

    async def test_what_nobody_has_kept_is_not_found(self, store: ConversationStore) -> None:
        assert await store.find("agent-1", "chat") is None

    @pytest.mark.parametrize("chat", ["chat", "a b", "ü☃", "'; drop table", "x" * 500])
    async def test_what_was_kept_is_found(self, store: ConversationStore, chat: str) -> None:
        assert await store.keep("agent-1", chat, "conversation-1") == "conversation-1"
        assert await store.find("agent-1", chat) == "conversation-1"

    async def test_who_comes_first_is_kept(self, store: ConversationStore) -> None:
        await store.keep("agent-1", "chat", "conversation-1")
        assert await store.keep("agent-1", "chat", "conversation-2") == "conversation-1"
        assert await store.find("agent-1", "chat") == "conversation-1"

    async def test_agents_and_chats_are_told_apart(self, store: ConversationStore) -> None:
        await store.keep("agent-1", "chat", "conversation-1")
        assert await store.find("agent-2", "chat") is None
        assert await store.find("agent-1", "other chat") is None
        await store.keep("agent-2", "chat", "conversation-2")
        assert await store.find("agent-1", "chat") == "conversation-1"

    async def test_the_conversations_of_a_chat_are_found_by_agent(self, store: ConversationStore) -> None:
        await store.keep("agent-1", "chat", "conversation-1")
        await store.keep("agent-2", "chat", "conversation-2")
        await store.keep("agent-2", "other chat", "conversation-3")
        assert await store.of_chat("chat") == {"agent-1": "conversation-1", "agent-2": "conversation-2"}
        assert await store.of_chat("no chat") == {}

    async def test_what_is_gone_makes_room_for_another(self, store: ConversationStore) -> None:
        await store.keep("agent-1", "chat", "conversation-1")
        await store.forget("agent-1", "chat", "conversation-1")
        assert await store.find("agent-1", "chat") is None
        assert await store.keep("agent-1", "chat", "conversation-2") == "conversation-2"

    async def test_another_ones_is_not_forgotten(self, store: ConversationStore) -> None:
        await store.keep("agent-1", "chat", "conversation-2")
        await store.forget("agent-1", "chat", "conversation-1")
        assert await store.find("agent-1", "chat") == "conversation-2"

    async def test_forgetting_what_is_not_known_is_no_error(self, store: ConversationStore) -> None:
        await store.forget("agent-1", "chat", "conversation-1")
        assert await store.find("agent-1", "chat") is None

    async def test_a_chat_is_given_another_conversation(self, store: ConversationStore) -> None:
        await store.keep("agent-1", "chat", "conversation-1")
        await store.assign("agent-1", "chat", "conversation-2")
        assert await store.find("agent-1", "chat") == "conversation-2"
        await store.assign("agent-1", "new chat", "conversation-3")
        assert await store.find("agent-1", "new chat") == "conversation-3"

    async def test_a_conversation_is_taken_from_the_chat_that_had_it(self, store: ConversationStore) -> None:
        await store.keep("agent-1", "chat", "conversation-1")
        await store.keep("agent-2", "chat", "conversation-1")
        assert await store.find("agent-1", DEFAULT_CHAT) is None
        await store.assign("agent-1", DEFAULT_CHAT, "conversation-1")
        assert await store.find("agent-1", "chat") is None
        assert await store.find("agent-1", DEFAULT_CHAT) == "conversation-1"
        assert await store.find("agent-2", "chat") == "conversation-1"
        assert await store.keep("agent-1", "chat", "conversation-4") == "conversation-4"

    async def test_a_chat_is_left_without_a_conversation(self, store: ConversationStore) -> None:
        await store.assign("agent-1", DEFAULT_CHAT, "conversation-1")
        await store.assign("agent-1", DEFAULT_CHAT, None)
        assert await store.find("agent-1", DEFAULT_CHAT) is None
        assert await store.chats_of("agent-1", ["conversation-1"]) == {}

    async def test_it_is_known_whose_conversation_was_changed_since_when(self, store: ConversationStore) -> None:
        await store.keep("agent-1", "chat", "conversation-1")
        assert not await store.was_assigned("agent-1", "chat", 0.0)
        before = time.time()
        await store.assign("agent-1", "other chat", "conversation-1")
        assert await store.was_assigned("agent-1", "chat", before)
        assert await store.was_assigned("agent-1", "other chat", before)
        assert not await store.was_assigned("agent-1", "other chat", time.time() + 100)
        assert not await store.was_assigned("agent-1", "a third chat", 0.0)
        assert not await store.was_assigned("agent-2", "chat", 0.0)

    async def test_chats_are_found_by_conversation_and_by_owner(self, store: ConversationStore) -> None:
        chats = {"c-1": "chat", "c-2": ":1\nchat", "c-3": ":12\nchat", "c-4": ":1\n%", "c-5": DEFAULT_CHAT}
        for conversation, chat in chats.items():
            await store.keep("agent-1", chat, conversation)
        await store.keep("agent-2", "chat", "c-6")
        assert await store.chats_of("agent-1", [*chats, "c-6", "c-7"]) == chats
        assert await store.chats_of("agent-1", []) == {}
        assert await store.of_owner("agent-1", "") == {"c-1": "chat"}
        assert await store.of_owner("agent-1", ":1") == {"c-2": ":1\nchat", "c-4": ":1\n%"}
        assert await store.of_owner("agent-1", ":2") == {}
