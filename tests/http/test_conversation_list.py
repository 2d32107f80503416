"""/api/v1/conversations: what is there, who sees it, and what was said."""

from typing import Any

import pytest

from entrypoints.settings.chat_options import ChatOptions
from tests.fakes.key_store import FakeNamedKeyStore
from tests.fakes.listing_gateway import ListingGateway, PlainGateway
from tests.http.conftest import Service, Start
from tests.http.conversation_client import BOSS, GUEST, KEYS, MUTE, assign, listed, refused, say

pytestmark = pytest.mark.anyio


@pytest.fixture
def gateway() -> ListingGateway:
    return ListingGateway()


@pytest.fixture
async def service(start: Start, gateway: ListingGateway) -> Service:
    return await start(gateway, ring=FakeNamedKeyStore(*KEYS))


async def test_conversations_are_listed_with_their_chats(service: Service) -> None:
    await say(service, "one", "mine")
    await say(service, "two", "mine", GUEST)
    await service.client.post("/api/v1/conversations", json={"summary": "of nobody"})
    await assign(service, conversationId="conversation-3")
    assert await listed(service) == [
        {
            "id": f"conversation-{number}",
            "createdAt": "2001-09-09T01:46:40.000Z",
            "updatedAt": None,
            "summary": summary,
            "messageCount": 2,
            "chats": [{"key": key, "keyName": name}],
        }
        for number, summary, key, name in [(3, "of nobody", None, ""), (2, "", "mine", "guest"), (1, "", "mine", "")]
    ]
    assert await listed(service, agent="bert") == []
    assert await listed(service, BOSS) == await listed(service)


async def test_a_list_has_pages(service: Service) -> None:
    for number in range(3):
        await say(service, "hello", f"{number}")
    answer = (await service.client.get("/api/v1/conversations", params={"limit": "2"})).json()
    assert [each["id"] for each in answer["conversations"]] == ["conversation-3", "conversation-2"]
    assert answer["hasMore"] is True
    answer = (
        await service.client.get("/api/v1/conversations", params={"limit": "2", "after": "conversation-2"})
    ).json()
    assert ([each["id"] for each in answer["conversations"]], answer["hasMore"]) == (["conversation-1"], False)
    assert await listed(service, after="conversation-99") == []
    for query in ({"limit": "0"}, {"limit": "501"}, {"limit": "x"}, {"after": "a/b"}, {"after": "\0"}):
        answer = await service.client.get("/api/v1/conversations", params=query)
        assert answer.status_code == 400, query


async def test_a_key_sees_its_own_chats_conversations_only(service: Service) -> None:
    for number in range(4):
        await say(service, "hello", f"{number}", GUEST if number in (0, 3) else None)
    await say(service, "hello", "x" * 10)
    assert [each["id"] for each in await listed(service, GUEST)] == ["conversation-4", "conversation-1"]
    assert [each["id"] for each in await listed(service, GUEST, limit="1")] == ["conversation-4"]
    assert [each["id"] for each in await listed(service, GUEST, after="conversation-4")] == ["conversation-1"]
    assert await listed(service, MUTE) == []
    client, url = service.client, "/api/v1/conversations/conversation-2"
    for asking in (
        client.get(f"{url}/messages", headers=GUEST),
        client.patch(url, json={"summary": "mine now"}, headers=GUEST),
        client.delete(url, headers=GUEST),
        client.post("/api/v1/conversations", json={"forkOf": "conversation-2", "key": "k"}, headers=GUEST),
        assign(service, GUEST, conversationId="conversation-2", key="k"),
        client.get(f"{url}/messages", headers=MUTE),
        client.get(f"{url}/messages", params={"agent": "bert"}),
    ):
        assert refused(await asking) == (404, "conversation_not_found")
    denied = await client.get(
        "/api/v1/conversations", params={"agent": "anna"}, headers={"X-Api-Key": "bert-key", "Authorization": ""}
    )
    assert denied.status_code == 404


async def test_what_was_said_is_listed_in_pages(service: Service) -> None:
    await say(service, "tool", "mine", GUEST)
    await say(service, "hello", "mine", GUEST)
    url = "/api/v1/conversations/conversation-1/messages"
    answer = (await service.client.get(url, params={"limit": "2"}, headers=GUEST)).json()
    assert answer["hasMore"] is True
    assert [(each["id"], each["role"], each["text"]) for each in answer["messages"]] == [
        ("u1", "user", "hello"),
        ("a1", "assistant", "You said: hello"),
    ]
    answer = (await service.client.get(url, params={"before": "u1"}, headers=GUEST)).json()
    assert answer["hasMore"] is False
    assert answer["messages"][1] == {
        "id": "a0",
        "at": "2001-09-09T01:46:40.000Z",
        "role": "assistant",
        "text": "Yes.",
        "toolCalls": [{"id": "1", "name": "look", "input": {"at": 1}, "result": "seen", "isError": True}],
    }


async def test_reasoning_is_listed_where_it_is_shown(start: Start, gateway: ListingGateway) -> None:
    service = await start(gateway, options=ChatOptions(reasoning=True))
    await say(service, "tool")
    messages = (await service.client.get("/api/v1/conversations/default/messages")).json()["messages"]
    assert messages[1]["reasoning"] == "Let me see."


@pytest.mark.parametrize(
    "id_", ["%00", "..", "a%2Fb", "%2e%2e%2fagents", "x" * 10_000, "\u2603", "default", "-a", "a%0Ab", "conversation-9"]
)
async def test_ids_of_any_text_are_not_found(service: Service, id_: str) -> None:
    url = f"/api/v1/conversations/{id_}"
    for asking in (
        service.client.delete(url),
        service.client.patch(url, json={"summary": "x"}),
        *([] if id_ == "default" else [service.client.get(f"{url}/messages")]),
    ):
        assert (await asking).status_code in (404, 405)
    if id_ not in ("..", "default"):
        assert refused(await assign(service, conversationId=id_)) == (404, "conversation_not_found")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"conversationId": ""},
        {"conversationId": 1},
        {"conversationId": "conversation-1", "key": ""},
        {"conversationId": "conversation-1", "key": ":1\nchat"},
        {"conversationId": "conversation-1", "key": "x" * 501},
        {"conversationId": "conversation-1", "key": " a"},
        [],
    ],
)
async def test_what_is_wrong_is_said(service: Service, body: Any) -> None:
    await say(service, "one", "a")
    answer = await service.client.post("/api/v1/conversation", json=body)
    assert answer.status_code == 400
    assert answer.json()["success"] is False


@pytest.mark.parametrize("summary", ["", " ", "x" * 501, "a\0b", "a\nb", None])
async def test_summaries_are_bounded(service: Service, summary: str | None) -> None:
    await say(service, "one", "a")
    answer = await service.client.patch("/api/v1/conversations/conversation-1", json={"summary": summary})
    assert answer.status_code == 400


async def test_a_backend_that_cannot_has_none(start: Start) -> None:
    service = await start(PlainGateway())
    await say(service, "one")
    assert await listed(service) == []
    url = "/api/v1/conversations"
    for asking in (
        service.client.post(url, json={}),
        service.client.patch(f"{url}/conversation-1", json={"summary": "x"}),
        service.client.delete(f"{url}/conversation-1"),
        service.client.get(f"{url}/default/messages"),
        assign(service, conversationId="conversation-1"),
    ):
        answer = await asking
        assert refused(answer) == (400, "not_supported")
        assert "The backend 'fake' cannot" in answer.json()["error"]


async def test_where_chats_are_shared_no_key_is_taken(start: Start, gateway: ListingGateway) -> None:
    service = await start(gateway, options=ChatOptions(own_conversations=False))
    answer = await service.client.post("/api/v1/conversations", json={"key": "a"})
    assert answer.status_code == 400
    assert "no effect" in answer.json()["error"]


async def test_the_api_page_describes_all_of_it(service: Service) -> None:
    paths = (await service.client.get("/openapi.json")).json()["paths"]
    asked = {each["name"] for each in paths["/api/v1/conversations"]["get"]["parameters"]}
    assert asked == {"agent", "limit", "after"}
    for path, method in (
        ("/api/v1/conversations", "post"),
        ("/api/v1/conversation", "post"),
        ("/api/v1/conversations/{id_}", "patch"),
    ):
        assert paths[path][method]["requestBody"]["content"]["application/json"]["schema"]["properties"]
        assert paths[path][method]["summary"]
