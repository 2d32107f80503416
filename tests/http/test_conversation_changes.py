"""Which chat key goes to which conversation; making, copying, renaming and deleting them."""

import asyncio

import pytest

from tests.fakes.key_store import FakeNamedKeyStore
from tests.fakes.listing_gateway import ListingGateway
from tests.http.conftest import Service, Start
from tests.http.conversation_client import BOSS, GUEST, KEYS, MUTE, assign, places, refused, say

pytestmark = pytest.mark.anyio


@pytest.fixture
def gateway() -> ListingGateway:
    return ListingGateway()


@pytest.fixture
async def service(start: Start, gateway: ListingGateway) -> Service:
    return await start(gateway, ring=FakeNamedKeyStore(*KEYS))


async def test_a_chat_goes_to_another_conversation_from_now_on(service: Service, gateway: ListingGateway) -> None:
    await say(service, "one", "a")
    await say(service, "two", "b")
    answer = await assign(service, conversationId="conversation-1", key="b")
    assert answer.json() == {"success": True, "agent": "anna", "key": "b", "conversationId": "conversation-1"}
    await say(service, "three", "b")
    await say(service, "four", "a")
    assert places(gateway) == ["conversation-1", "conversation-2", "conversation-1", "conversation-3"]


async def test_messages_without_a_chat_key_go_where_an_admin_says(service: Service, gateway: ListingGateway) -> None:
    await say(service, "one", "a")
    assert refused(await assign(service, GUEST, conversationId="conversation-1")) == (403, "admin_required")
    assert (await assign(service, BOSS, conversationId="conversation-1")).json()["key"] is None
    await say(service, "two")
    await say(service, "three", who=GUEST)
    await say(service, "four", "a")
    assert (await assign(service, conversationId="default")).status_code == 200
    await say(service, "five")
    assert places(gateway) == ["conversation-1", "conversation-1", "conversation-1", "conversation-2", None]


async def test_a_default_that_was_deleted_elsewhere_leaves_the_agents_own_history(
    service: Service, gateway: ListingGateway
) -> None:
    await say(service, "one", "a")
    await assign(service, conversationId="conversation-1")
    gateway.inner.kept_conversations.remove("conversation-1")
    await say(service, "two")
    await say(service, "three")
    assert places(gateway) == ["conversation-1", None, None]
    assert gateway.inner.heard == ["one", "two", "three"]


async def test_while_a_turn_runs_there_nothing_is_changed(service: Service, gateway: ListingGateway) -> None:
    await say(service, "one", "a")
    await say(service, "two", "b")
    slow = asyncio.create_task(say(service, "slow", "a"))
    await gateway.hears_slow.wait()
    url = "/api/v1/conversations"
    for asking in (
        assign(service, conversationId="conversation-1", key="b"),
        assign(service, conversationId="conversation-1"),
        assign(service, conversationId="conversation-2", key="a"),
        service.client.post(url, json={"key": "a"}),
        service.client.delete(f"{url}/conversation-1"),
    ):
        assert refused(await asking) == (409, "conversation_busy")
    assert gateway.inner.kept_conversations == ["conversation-1", "conversation-2"]
    slow.cancel()


async def test_conversations_are_made_copied_renamed_and_deleted(service: Service, gateway: ListingGateway) -> None:
    url = "/api/v1/conversations"
    made = await service.client.post(url, json={"summary": "plants", "key": "a"})
    assert made.status_code == 201, made.text
    assert (made.json()["id"], made.json()["summary"]) == ("conversation-1", "plants")
    assert made.json()["chats"] == [{"key": "a", "keyName": ""}]
    copy = await service.client.post(url, json={"forkOf": "conversation-1", "key": "copy"}, headers=GUEST)
    assert refused(copy) == (404, "conversation_not_found")
    copy = await service.client.post(url, json={"forkOf": "conversation-1"})
    assert (copy.json()["id"], gateway.forks) == ("conversation-2", ["conversation-1"])
    renamed = await service.client.patch(f"{url}/conversation-2", json={"summary": "trees"})
    assert (renamed.json()["id"], renamed.json()["summary"]) == ("conversation-2", "trees")
    await say(service, "one", "a")
    gone = await service.client.delete(f"{url}/conversation-1")
    assert gone.json() == {"success": True, "conversationId": "conversation-1"}
    await say(service, "two", "a")
    assert places(gateway) == ["conversation-1", "conversation-3"]
    assert refused(await service.client.delete(f"{url}/conversation-1")) == (404, "conversation_not_found")


async def test_a_key_makes_conversations_for_its_own_chats(service: Service, gateway: ListingGateway) -> None:
    url = "/api/v1/conversations"
    assert refused(await service.client.post(url, json={}, headers=GUEST)) == (403, "admin_required")
    assert (await service.client.post(url, json={"key": "a"}, headers=GUEST)).status_code == 201
    assert refused(await service.client.post(url, json={"key": "a"}, headers=MUTE)) == (400, "chat_keys_not_allowed")
    await say(service, "one", "a", GUEST)
    assert places(gateway) == ["conversation-1"]
    assert (await service.client.delete(f"{url}/conversation-1", headers=GUEST)).status_code == 200
