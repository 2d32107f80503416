"""The stores of clients' conversations: what every one must do, in memory and in a database."""

import msgspec
import pytest

from adapters.memory import client_conversation_store as memory
from adapters.memory.client_conversation_store import MemoryClientConversationStore
from adapters.sql import client_conversation_store as sql
from adapters.sql.lazy_stores import lazy_client_conversation_store
from adapters.sql.state import State
from domain.model.client_conversation import ClientConversation, ConversationItem, new_conversation_id, new_item_id
from ports.client_conversation_store import ClientConversationStore

pytestmark = pytest.mark.anyio


def a_conversation(made_at: float = 1.0) -> ClientConversation:
    return ClientConversation(id=new_conversation_id(), owner="alice", made_at=made_at, metadata={"a": "東京"})


def an_item(text: str) -> ConversationItem:
    return ConversationItem(new_item_id("msg"), 2.0, text.encode())


class ClientConversationStoreContract:
    async def test_nothing_is_there_at_first(self, store: ClientConversationStore) -> None:
        assert await store.find(new_conversation_id()) is None
        assert list(await store.items(new_conversation_id())) == []

    async def test_a_conversation_is_kept_and_changed(self, store: ClientConversationStore) -> None:
        conversation = a_conversation()
        await store.keep(conversation)
        assert await store.find(conversation.id) == conversation
        changed = msgspec.structs.replace(conversation, metadata={})
        await store.keep(changed)
        assert await store.find(conversation.id) == changed

    async def test_items_stay_in_their_order(self, store: ClientConversationStore) -> None:
        conversation, items = a_conversation(), [an_item(text) for text in "abc"]
        await store.keep(conversation)
        assert await store.add_items(conversation.id, items[:2])
        assert await store.add_items(conversation.id, items[2:])
        assert await store.add_items(conversation.id, [])
        assert list(await store.items(conversation.id)) == items
        await store.delete_item(conversation.id, items[1].id)
        await store.delete_item(conversation.id, "unknown")
        assert list(await store.items(conversation.id)) == [items[0], items[2]]

    async def test_what_is_deleted_is_gone_with_its_items(self, store: ClientConversationStore) -> None:
        conversation, other = a_conversation(), a_conversation()
        for each in (conversation, other):
            await store.keep(each)
            await store.add_items(each.id, [an_item("x")])
        await store.delete(conversation.id)
        assert await store.find(conversation.id) is None
        assert list(await store.items(conversation.id)) == []
        assert len(await store.items(other.id)) == 1

    async def test_it_holds_only_so_much(self, store: ClientConversationStore, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (memory, sql):
            monkeypatch.setattr(module, "MOST_ITEMS", 3)
            monkeypatch.setattr(module, "MOST_BYTES", 10)
        conversation = a_conversation()
        await store.keep(conversation)
        assert await store.add_items(conversation.id, [an_item("12345"), an_item("123")])
        assert not await store.add_items(conversation.id, [an_item("123")])
        assert not await store.add_items(conversation.id, [an_item(""), an_item("")])
        assert await store.add_items(conversation.id, [an_item("12")])
        assert len(await store.items(conversation.id)) == 3


class TestMemory(ClientConversationStoreContract):
    @pytest.fixture
    def store(self) -> ClientConversationStore:
        return MemoryClientConversationStore()


class TestSqlite(ClientConversationStoreContract):
    @pytest.fixture
    def store(self, sqlite_state: State) -> ClientConversationStore:
        return lazy_client_conversation_store(sqlite_state)


class TestPostgresql(ClientConversationStoreContract):
    @pytest.fixture
    def store(self, postgres_state: State) -> ClientConversationStore:
        return lazy_client_conversation_store(postgres_state)


async def test_the_oldest_go_if_there_are_too_many(sqlite_state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "_SWEEP_EVERY", 0.0)
    monkeypatch.setattr(sql, "MOST_CONVERSATIONS", 2)
    in_database, in_memory = lazy_client_conversation_store(sqlite_state), MemoryClientConversationStore(most=2)
    conversations = [a_conversation(float(number)) for number in range(3)]
    for store in (in_database, in_memory):
        for conversation in conversations:
            await store.keep(conversation)
            await store.add_items(conversation.id, [an_item("x")])
        assert [await store.find(each.id) is not None for each in conversations] == [False, True, True]
        assert [len(await store.items(each.id)) for each in conversations] == [0, 1, 1]
