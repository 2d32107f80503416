"""What Open WebUI says in headers, and what it gets. Header values as recorded (its connection's custom headers)."""

import json
from typing import Any

import httpx
import pytest

from domain.model.events import Accepted, Ended, Text, ToolCall, ToolResult
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from entrypoints.http.open_webui_tasks import Task
from entrypoints.settings.chat_options import BackgroundTasks, ChatOptions, HeaderNames, ToolCalls
from tests.fakes.gateway import FakeGateway, Step
from tests.http.conftest import Service, Start, question
from tests.http.test_open_webui_tasks import prompt_for

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
NO_SUCH_TOOL: list[dict[str, Any]] = [{"type": "function", "function": {"name": "get_current_timestamp"}}]


def headers(chat: str = "c1", message: str = "a1", user: str = "u1", task: str = "") -> dict[str, str]:
    return {
        "X-Chat-Id": chat,
        "X-Message-Id": message,
        "X-User-Message-Id": user,
        "X-Parent-Id": "",
        "X-Task": task,
        "X-User-Id": "someone",
    }


async def ask(
    service: Service, text: str, said: dict[str, str], history: tuple[str, ...] = (), **more: Any
) -> httpx.Response:
    messages = [{"role": ("user", "assistant")[at % 2], "content": each} for at, each in enumerate((*history, text))]
    body = {**question(stream=True, tools=NO_SUCH_TOOL), "messages": messages, **more}
    return await service.client.post(CHAT, json=body, headers=said)


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(event[6:]) for event in answer.text.split("\n\n") if event.startswith("data: {")]


def text_of(answer: httpx.Response) -> str:
    return "".join(choice["delta"].get("content", "") for event in events_of(answer) for choice in event["choices"])


async def test_each_chat_has_a_conversation_of_its_own(service: Service) -> None:
    await ask(service, "one", headers("c1", "a1", "u1"))
    await ask(service, "two", headers("c2", "a2", "u2"))
    await ask(service, "three", headers("c1", "a3", "u3"))
    assert [turn.conversation for turn in service.gateway.delivered] == [
        "conversation-1",
        "conversation-2",
        "conversation-1",
    ]


@pytest.mark.parametrize("name", ["X-Letta-Chat-Key", "X-OpenWebUI-Chat-Id", "x-chat-id"])
async def test_a_chat_key_comes_in_several_headers(service: Service, name: str) -> None:
    await service.client.post(CHAT, json=question("one"), headers={name: "key"})
    await service.client.post(CHAT, json=question("two"), headers={name: ""})
    assert [turn.conversation for turn in service.gateway.delivered] == ["conversation-1", None]


async def test_the_operator_may_name_the_headers(start: Start) -> None:
    names = HeaderNames(chat="x-room")
    service = await start(options=ChatOptions(header_names=names))
    await service.client.post(CHAT, json=question("one"), headers={"X-Room": "key"})
    await service.client.post(CHAT, json=question("two"), headers={"X-Chat-Id": "key"})
    assert [turn.conversation for turn in service.gateway.delivered] == ["conversation-1", None]


@pytest.mark.parametrize(
    "options",
    [ChatOptions(own_conversations=False), ChatOptions(trust_chat_headers=False)],
    ids=["shared", "untrusted"],
)
async def test_chat_keys_can_be_ignored(start: Start, options: ChatOptions) -> None:
    service = await start(options=options)
    await ask(service, "one", headers())
    assert [turn.conversation for turn in service.gateway.delivered] == [None]


async def test_the_same_message_id_is_the_same_turn(service: Service) -> None:
    first = await ask(service, "one", headers())
    again = await ask(service, "one, with a changed system prompt", headers())
    assert text_of(first) == text_of(again) == "You said: one"
    assert again.headers["idempotency-replayed"] == "true"
    assert service.gateway.heard == ["one"]


async def test_regenerate_is_delivered_again_with_a_line_that_says_so(service: Service) -> None:
    await ask(service, "one", headers(message="a1"))
    await ask(service, "one", headers(message="a2"))
    first, second = service.gateway.heard
    assert first == "one"
    assert second.endswith("\none")
    assert "another answer" in second


async def test_edit_is_a_new_message(service: Service) -> None:
    await ask(service, "one", headers(message="a1", user="u1"))
    await ask(service, "one, I mean two", headers(message="a2", user="u2"))
    assert service.gateway.heard == ["one", "one, I mean two"]


async def test_continue_is_a_line_of_its_own(service: Service) -> None:
    await ask(service, "one", headers())
    await ask(service, "You said", headers(), history=("one",))
    await ask(service, "You said: one and", headers(), history=("one",))
    assert service.gateway.heard[0] == "one"
    assert len(service.gateway.heard) == 3
    assert all("continue" in text for text in service.gateway.heard[1:])


async def test_continue_without_headers_is_known_by_what_was_said_last(service: Service) -> None:
    await service.chat("one")
    await ask(service, "You said", {}, history=("one",))
    await ask(service, "Sure, here is", {}, history=("a new question",))
    assert service.gateway.heard[::2] == ["one", "a new question"]
    assert "continue" in service.gateway.heard[1]


async def test_the_answer_to_a_call_that_the_agent_ran_delivers_nothing(service: Service) -> None:
    tail = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "call_agent_x"}]},
        {"role": "tool", "tool_call_id": "call_agent_x", "content": "Error: no such tool"},
    ]
    answer = await service.client.post(CHAT, json={**question(stream=True), "messages": tail}, headers=headers())
    assert text_of(answer) == ""
    assert service.gateway.heard == []


@pytest.mark.parametrize("header", [True, False])
async def test_tasks_never_reach_the_agent(service: Service, header: bool) -> None:
    for task, content in (
        (Task.TITLE, {"title": "Hello there"}),
        (Task.TAGS, {"tags": ["general"]}),
        (Task.FOLLOW_UPS, {"follow_ups": []}),
        (Task.QUERIES, {"queries": []}),
    ):
        body = question(prompt_for(task, "Hello there", ""), max_tokens=1000)
        said = headers(message="", task=task.value) if header else {}
        answer = await service.client.post(CHAT, json=body, headers=said)
        assert answer.status_code == 200
        assert json.loads(answer.json()["choices"][0]["message"]["content"]) == content
    assert service.gateway.heard == []
    assert service.gateway.opened == 0


async def test_a_task_does_not_wait_behind_a_turn(start: Start) -> None:
    service = await start(FakeGateway(answers={"slow": [Accepted("run"), 0.5, Text("done"), Ended()]}))
    async with service.client.stream("POST", CHAT, json=question("slow", stream=True), headers=headers()) as running:
        task = await service.client.post(
            CHAT,
            json=question(prompt_for(Task.TITLE, "slow", "")),
            headers=headers(message="", task="title_generation"),
        )
        assert "done" not in task.text
        assert service.gateway.at_once == {(service.gateway.delivered[0].agent.id, "conversation-1"): 1}
        assert "done" in (await running.aread()).decode()


async def test_a_real_chat_about_a_file_passes_through(service: Service) -> None:
    text = "### Task:\nAnswer with this context.\n<context>A file.</context>\n\nWhat is in it?"
    await ask(service, text, {})
    assert service.gateway.heard == [text]


async def test_tasks_can_be_given_to_the_agent_aside_from_the_chat(start: Start) -> None:
    service = await start(options=ChatOptions(background_tasks=BackgroundTasks.AGENT))
    await ask(service, "one", headers())
    prompt = prompt_for(Task.TITLE, "one", "")
    await service.client.post(CHAT, json=question(prompt), headers=headers(message="", task="title_generation"))
    assert service.gateway.heard == ["one", prompt]
    assert [turn.conversation for turn in service.gateway.delivered] == ["conversation-1", "conversation-2"]
    assert service.gateway.kept_conversations == ["conversation-1"]


TOOL_TURN: list[Step] = [
    Accepted("run"),
    ToolCall("call-1", "list_todos"),
    ToolCall("call-1", arguments='{"list": "work"}'),
    ToolResult("call-1", "1. water"),
    Text("Water the plants."),
    Ended(),
]


def statuses(answer: httpx.Response) -> list[dict[str, Any]]:
    shown = [event["event"] for event in events_of(answer) if "event" in event]
    assert all(event["type"] == "status" and set(event) == {"type", "data"} for event in shown)
    assert all(event["choices"] == [] for event in events_of(answer) if "event" in event)
    return [event["data"] for event in shown]


async def test_tool_calls_are_shown_as_status_lines(start: Start) -> None:
    service = await start(FakeGateway(answers={"todo": TOOL_TURN}))
    for said in (headers(), {"X-OpenWebUI-User-Id": "x"}):
        answer = await ask(service, "todo", said)
        assert statuses(answer) == [
            {"description": "Using list_todos ...", "done": False},
            {"description": "Used list_todos", "done": True},
        ]
        assert "tool_calls" not in answer.text
        assert text_of(answer) == "Water the plants."


@pytest.mark.parametrize(
    ("end", "last"), [(Ended(), "[DONE]"), (Failure(FailureCode.LLM_ERROR, Delivery.YES), "[DONE]")]
)
async def test_no_status_line_stays_open_and_none_holds_what_the_agent_wrote(
    start: Start, end: Step, last: str
) -> None:
    evil = 'evil"<script>\n' + "x" * 500
    service = await start(FakeGateway(answers={"todo": [Accepted("run"), ToolCall("c", evil), end]}))
    answer = await ask(service, "todo", headers())
    first, second = statuses(answer)
    assert (first["done"], second["done"]) == (False, True)
    assert "<" not in first["description"]
    assert len(first["description"]) < 120
    assert answer.text.endswith(f"data: {last}\n\n")


@pytest.mark.parametrize(
    ("policy", "calls", "lines"),
    [(ToolCalls.ALWAYS, True, 0), (ToolCalls.NEVER, False, 0), (ToolCalls.STATUS, False, 2)],
)
async def test_the_operator_may_decide(start: Start, policy: ToolCalls, calls: bool, lines: int) -> None:
    service = await start(FakeGateway(answers={"todo": TOOL_TURN}), options=ChatOptions(tool_calls=policy))
    for said in (headers(), {}):
        answer = await ask(service, "todo", {**said, "Idempotency-Key": f"{bool(said)}"})
        assert ("tool_calls" in answer.text) is calls
        assert len(statuses(answer)) == lines


async def test_a_header_that_is_too_long_is_refused(service: Service) -> None:
    answer = await ask(service, "one", {"X-Chat-Id": "x" * 1000})
    assert answer.status_code == 400
    assert service.gateway.heard == []
