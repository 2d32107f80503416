"""/v1/conversations: made without an agent, used as a chat key, and never told to an agent."""

from typing import Any

import httpx
import pytest

from domain.model.api_key import NamedKey, digest_of
from domain.model.events import Accepted, Ended, Text, ToolCall, ToolResult
from entrypoints.settings.chat_options import ChatOptions
from tests.fakes.gateway import FakeGateway, Step
from tests.fakes.key_store import FakeNamedKeyStore
from tests.http.conftest import Service, Start
from tests.http.responses_client import create, created

pytestmark = pytest.mark.anyio

TOOL_TURN: list[Step] = [
    Accepted(),
    ToolCall("1", "look"),
    ToolCall("1", arguments="{}"),
    ToolResult("1", "seen"),
    Text("Yes."),
    Ended(),
]


@pytest.fixture
async def service(start: Start) -> Service:
    return await start(FakeGateway(answers={"tool": TOOL_TURN}))


async def made(service: Service, **body: Any) -> dict[str, Any]:
    answer = await service.client.post("/v1/conversations", json=body)
    assert answer.status_code == 200, answer.text
    conversation: dict[str, Any] = answer.json()
    return conversation


async def items(service: Service, conversation: str, **query: str) -> list[dict[str, Any]]:
    answer = await service.client.get(f"/v1/conversations/{conversation}/items", params={"order": "asc", **query})
    assert answer.status_code == 200, answer.text
    listed: list[dict[str, Any]] = answer.json()["data"]
    return listed


def said(listed: list[dict[str, Any]]) -> list[str]:
    return [
        f"{item['role']}: {item['content'][0]['text']}" if item["type"] == "message" else item["type"]
        for item in listed
    ]


async def test_a_conversation_is_made_described_and_forgotten(service: Service) -> None:
    conversation = await made(service, metadata={"topic": "plants"})
    assert conversation["id"].startswith("conv_")
    assert (conversation["object"], conversation["metadata"]) == ("conversation", {"topic": "plants"})
    url = f"/v1/conversations/{conversation['id']}"
    assert (await service.client.get(url)).json() == conversation
    changed = (await service.client.post(url, json={"metadata": {"topic": "trees"}})).json()
    assert changed["metadata"] == {"topic": "trees"}
    assert (await service.client.delete(url)).json() == {
        "id": conversation["id"],
        "object": "conversation.deleted",
        "deleted": True,
    }
    assert (await service.client.get(url)).status_code == 404
    answer = await create(service, conversation=conversation["id"])
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "conversation")


async def test_an_empty_body_makes_one_as_well(service: Service) -> None:
    answer = await service.client.post("/v1/conversations")
    assert answer.status_code == 200, answer.text


async def test_it_is_the_chat_of_that_key_in_every_api(service: Service) -> None:
    conversation = await made(service)
    response = await created(service, "one", conversation=conversation["id"])
    assert response["conversation"] == {"id": conversation["id"]}
    await created(service, "two", conversation={"id": conversation["id"]})
    await service.client.post(
        "/v1/chat/completions",
        json={"model": "anna", "messages": [{"role": "user", "content": "three"}]},
        headers={"X-Letta-Chat-Key": conversation["id"]},
    )
    places = {turn.conversation for turn in service.gateway.delivered}
    assert len(service.gateway.delivered) == 3
    assert len(places) == 1
    assert None not in places
    follows = await created(service, "four", previous_response_id=None, conversation=conversation["id"])
    again = await created(service, "five", previous_response_id=follows["id"])
    assert again["conversation"] == {"id": conversation["id"]}
    assert (await service.client.get(f"/v1/responses/{again['id']}")).json() == again


async def test_what_is_put_into_it_is_listed_and_told_to_nobody(service: Service) -> None:
    conversation = await made(service, items=[{"role": "user", "content": "hello"}])
    url = f"/v1/conversations/{conversation['id']}/items"
    put = (await service.client.post(url, json={"items": [{"role": "assistant", "content": "Hi!"}]})).json()
    assert put["object"] == "list"
    assert put["data"][0]["content"][0]["type"] == "output_text"
    listed = await items(service, conversation["id"])
    assert said(listed) == ["user: hello", "assistant: Hi!"]
    assert all(item["id"] and item["type"] == "message" for item in listed)
    assert (await service.client.get(f"{url}/{listed[0]['id']}")).json() == listed[0]
    assert (await service.client.delete(f"{url}/{listed[0]['id']}")).json()["id"] == conversation["id"]
    assert said(await items(service, conversation["id"])) == ["assistant: Hi!"]
    assert (await service.client.get(f"{url}/{listed[0]['id']}")).status_code == 404
    assert (await service.client.delete(f"{url}/{listed[0]['id']}")).status_code == 404
    assert service.gateway.delivered == []


async def test_what_was_said_to_agents_is_listed_behind_it(service: Service) -> None:
    conversation = await made(service, items=[{"role": "user", "content": "before"}])
    await created(service, "tool", conversation=conversation["id"])
    await created(service, "more", model="bert", conversation=conversation["id"])
    listed = await items(service, conversation["id"])
    assert said(listed) == [
        "user: before",
        "user: tool",
        "mcp_call",
        "assistant: Yes.",
        "user: more",
        "assistant: You said: ",
        "assistant: more",
    ]
    assert (listed[2]["name"], listed[2]["arguments"], listed[2]["output"]) == ("look", "{}", "seen")
    assert len({item["id"] for item in listed}) == len(listed)
    newest = await service.client.get(f"/v1/conversations/{conversation['id']}/items", params={"limit": "1"})
    assert said(newest.json()["data"]) == ["assistant: more"]
    taken = await service.client.delete(f"/v1/conversations/{conversation['id']}/items/{listed[1]['id']}")
    assert taken.status_code == 404
    assert "cannot be taken back" in taken.json()["error"]["message"]


async def test_the_session_of_the_agents_sdk_tells_the_agent_once(service: Service) -> None:
    """As recorded: it puts each message there and sends it, too."""
    conversation = await made(service, items=[])
    url = f"/v1/conversations/{conversation['id']}/items"
    for text in ("one", "two"):
        history = await items(service, conversation["id"])
        await service.client.post(url, json={"items": [{"role": "user", "content": text}]})
        response = await created(service, [*history, {"role": "user", "content": text}])
        await service.client.post(url, json={"items": response["output"]})
    assert [turn.message.text for turn in service.gateway.delivered if turn.message] == ["one", "two"]
    assert said(await items(service, conversation["id"]))[0::2] == ["user: one", "user: two"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {"a": "x" * 513}}, "metadata"),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata"),
        ({"items": "hello"}, "items"),
        ({"items": ["hello"]}, "items[0]"),
        ({"items": [{}] * 21}, "items"),
    ],
)
async def test_what_is_wrong_is_named(service: Service, body: dict[str, Any], param: str) -> None:
    answer = await service.client.post("/v1/conversations", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"].startswith(param)


@pytest.mark.parametrize("id_", ["conv_1", "x", "conv_" + "0" * 48])
async def test_what_is_not_there_is_404(service: Service, id_: str) -> None:
    for asking in (
        service.client.get(f"/v1/conversations/{id_}"),
        service.client.post(f"/v1/conversations/{id_}", json={"metadata": {}}),
        service.client.delete(f"/v1/conversations/{id_}"),
        service.client.get(f"/v1/conversations/{id_}/items"),
        service.client.post(f"/v1/conversations/{id_}/items", json={"items": [{"role": "user", "content": "x"}]}),
    ):
        assert (await asking).status_code == 404
    assert (await create(service, conversation=id_)).status_code == 404
    assert service.gateway.delivered == []


async def test_conversations_belong_to_their_api_key(start: Start) -> None:
    service = await start(ring=FakeNamedKeyStore(NamedKey("guest", digest_of(b"guest-key"), 0.0)))
    conversation = await made(service)
    guest = httpx.Headers({"Authorization": "Bearer guest-key"})
    assert (await service.client.get(f"/v1/conversations/{conversation['id']}", headers=guest)).status_code == 404
    answer = await create(service, conversation=conversation["id"], headers=guest)
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "conversation")


async def test_where_chats_are_shared_it_is_the_default_history(start: Start) -> None:
    service = await start(options=ChatOptions(own_conversations=False))
    conversation = await made(service)
    await created(service, "one", conversation=conversation["id"])
    assert service.gateway.delivered[0].conversation is None


async def test_a_backend_that_lists_nothing_leaves_what_was_put_there(start: Start) -> None:
    class Silent(FakeGateway):
        read_history = None  # type: ignore[assignment]

    service = await start(Silent())
    conversation = await made(service, items=[{"role": "user", "content": "before"}])
    await created(service, "one", conversation=conversation["id"])
    assert said(await items(service, conversation["id"])) == ["user: before"]


async def test_the_api_page_describes_all_of_it(service: Service) -> None:
    paths = (await service.client.get("/openapi.json")).json()["paths"]
    created = paths["/v1/responses"]["post"]
    assert set(created["requestBody"]["content"]["application/json"]["examples"]) == {"sync", "stream", "background"}
    asked = {each["name"] for each in paths["/v1/responses/{response_id}"]["get"]["parameters"]}
    assert asked == {"response_id", "stream", "starting_after"}
    for path in ("/v1/responses/{response_id}/input_items", "/v1/conversations/{conversation_id}/items"):
        assert {"limit", "after", "order"} <= {each["name"] for each in paths[path]["get"]["parameters"]}
    for path in (
        "/v1/conversations",
        "/v1/conversations/{conversation_id}",
        "/v1/conversations/{conversation_id}/items",
    ):
        assert paths[path]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert {"get", "delete"} <= paths["/v1/conversations/{conversation_id}/items/{item_id}"].keys()
