"""What every conversation store must do. Subclass it with a `store` fixture."""

import pytest

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
