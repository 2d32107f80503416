"""/api/v1/conversations and /api/v1/conversation: what is there, what was said, and which chat key goes where."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import httpx
import pytest

from domain.model.agent import Agent
from domain.model.api_key import NamedKey, digest_of
from domain.model.events import Accepted, Ended, Reasoning, Text, ToolCall, ToolResult, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.history import ConversationSummary, HistoryEntry
from domain.model.turn import Turn
from entrypoints.settings.chat_options import ChatOptions
from tests.fakes.gateway import FakeGateway, Step
from tests.fakes.key_store import FakeNamedKeyStore
from tests.http.conftest import Service, Start

pytestmark = pytest.mark.anyio

GUEST = {"Authorization": "Bearer guest-key"}
BOSS = {"Authorization": "Bearer boss-key"}
MUTE = {"Authorization": "Bearer mute-key"}
KEYS = (
    NamedKey("guest", digest_of(b"guest-key"), 0.0),
    NamedKey("boss", digest_of(b"boss-key"), 0.0, admin=True),
    NamedKey("mute", digest_of(b"mute-key"), 0.0, chat_headers=False),
    NamedKey("bertist", digest_of(b"bert-key"), 0.0, agents=("bert",)),
)
TOOL_TURN: list[Step] = [
    Accepted(),
    Reasoning("Let me see."),
    ToolCall("1", "look"),
    ToolCall("1", arguments='{"at":1}'),
    ToolResult("1", "seen", ok=False),
    Text("Yes."),
    Ended(),
]


class PlainGateway:
    """Can only talk."""

    def __init__(self) -> None:
        self.hears_slow = asyncio.Event()
        self.inner = FakeGateway(answers={"tool": TOOL_TURN, "slow": [Accepted(), 30.0, Ended()]})

    async def agents(self) -> Sequence[Agent]:
        return await self.inner.agents()

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        async for event in self.inner.run(turn):
            if turn.message is not None and turn.message.text == "slow":
                self.hears_slow.set()
            yield event

    async def close(self) -> None:
        await self.inner.close()


class ListingGateway(PlainGateway):
    """Its conversations can be made, listed, named, copied and read."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.forks: list[str] = []

    async def open_conversation(self, agent: Agent) -> str:
        made = await self.inner.open_conversation(agent)
        self.owners[made] = agent.id
        return made

    async def close_conversation(self, conversation: str) -> None:
        self._check(conversation)
        await self.inner.close_conversation(conversation)

    async def fork_conversation(self, agent: Agent, conversation: str) -> str:
        self._check(conversation)
        self.forks.append(conversation)
        return await self.open_conversation(agent)

    async def rename_conversation(self, agent: Agent, conversation: str, summary: str) -> None:
        self._check(conversation)
        self.names[conversation] = summary

    async def conversations(self, agent: Agent, most: int, after: str | None = None) -> Sequence[ConversationSummary]:
        ids = [each for each in reversed(self.inner.conversations) if self.owners[each] == agent.id]
        if after is not None:
            ids = ids[ids.index(after) + 1 :] if after in ids else []
        return [ConversationSummary(each, 1e9, 0.0, self.names.get(each, ""), 2) for each in ids[: min(most, 3)]]

    async def read_history(
        self, agent: Agent, conversation: str | None, most: int, before: str | None = None
    ) -> list[HistoryEntry]:
        entries: list[HistoryEntry] = []
        for number, run in enumerate(self.inner.runs.values()):
            if run.turn.conversation == conversation and run.turn.agent.id == agent.id and run.turn.message is not None:
                entries.append(HistoryEntry(f"u{number}", 1e9 + number, user=run.turn.message.text))
                said = tuple(event for event in run.events if not isinstance(event, Accepted | Ended))
                entries.append(HistoryEntry(f"a{number}", 1e9 + number, events=said))
        ids = [entry.id for entry in entries]
        if before is not None:
            entries = entries[: ids.index(before)] if before in ids else []
        return entries[-most:]

    def _check(self, conversation: str) -> None:
        if conversation not in self.inner.conversations:
            raise FailureError(Failure(FailureCode.CONVERSATION_GONE, Delivery.NO))


@pytest.fixture
def gateway() -> ListingGateway:
    return ListingGateway()


@pytest.fixture
async def service(start: Start, gateway: ListingGateway) -> Service:
    return await start(gateway, ring=FakeNamedKeyStore(*KEYS))


async def say(service: Service, text: str, chat: str | None = None, who: dict[str, str] | None = None) -> None:
    headers = {**(who or {}), **({} if chat is None else {"X-Letta-Chat-Key": chat})}
    answer = await service.client.post("/api/v1/chat", json={"message": text, "agent": "anna"}, headers=headers)
    assert answer.status_code == 200, answer.text


async def listed(service: Service, who: dict[str, str] | None = None, **query: str) -> list[dict[str, Any]]:
    answer = await service.client.get("/api/v1/conversations", params=query, headers=who)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["conversations"]
    return found


async def assign(service: Service, who: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    return await service.client.post("/api/v1/conversation", json=body, headers=who)


def refused(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body["success"] is False
    assert body["error"]
    return answer.status_code, body["code"]


def places(gateway: ListingGateway) -> list[str | None]:
    return [turn.conversation for turn in gateway.inner.delivered]


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
    gateway.inner.conversations.remove("conversation-1")
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
    assert gateway.inner.conversations == ["conversation-1", "conversation-2"]
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
