"""Answers to POST /v1/chat/completions: whole and streamed."""

import asyncio
import json
import re
from typing import Any

import pytest

from domain.model.events import Accepted, Ended, Reasoning, Text, ToolCall, ToolResult
from domain.model.turn_rules import TurnRules
from entrypoints.http import answer as answer_module
from entrypoints.settings.chat_options import ChatOptions, ToolCalls
from tests.fakes.gateway import FakeGateway, Step
from tests.http.conftest import Service, Start, question

pytestmark = pytest.mark.anyio

TOOL_TURN: list[Step] = [
    Accepted("run-1"),
    Reasoning("Let me think."),
    Text("Let me "),
    Text("look."),
    ToolCall("abc", "list_todos"),
    ToolCall("abc", arguments='{"list":'),
    ToolCall("abc", arguments='"work"}'),
    ToolCall("def", "count", "{}"),
    ToolResult("abc", "secret tool result"),
    ToolResult("def", "2"),
    Text("Water "),
    Text("the plants."),
    Ended(),
]


@pytest.fixture
async def tools(start: Start) -> Service:
    return await start(FakeGateway(answers={"todo": TOOL_TURN, "silent": [Accepted(), Ended()]}))


def chunks(body: str) -> list[dict[str, Any]]:
    events = [line.removeprefix("data: ") for line in body.split("\n\n") if line.startswith("data: ")]
    assert events.pop() == "[DONE]"
    return [json.loads(event) for event in events]


async def test_a_whole_answer(tools: Service) -> None:
    answer = await tools.chat("todo")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert re.fullmatch("chatcmpl-[0-9a-f]{32}", body.pop("id"))
    assert abs(body.pop("created") - 1_790_000_000) < 10**9
    assert body == {
        "object": "chat.completion",
        "model": "anna",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Let me look.\n\nWater the plants.", "refusal": None},
                "finish_reason": "stop",
            }
        ],
        "usage": None,
    }


async def test_a_streamed_answer(tools: Service) -> None:
    answer = await tools.chat("todo", stream=True)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    received = chunks(answer.text)
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in received}) == 1
    assert [chunk["choices"][0]["finish_reason"] for chunk in received] == [None] * (len(received) - 1) + ["stop"]
    assert [chunk["choices"][0]["delta"] for chunk in received] == [
        {"role": "assistant", "content": ""},
        {"content": "Let me "},
        {"content": "look."},
        call(0, name="list_todos", id="call_agent_abc"),
        call(0, arguments='{"list":'),
        call(0, arguments='"work"}'),
        call(1, name="count", id="call_agent_def", arguments="{}"),
        {"content": "\n\nWater "},
        {"content": "the plants."},
        {},
    ]
    assert "secret" not in answer.text
    assert "think" not in answer.text


def call(index: int, name: str = "", id: str = "", arguments: str = "") -> dict[str, Any]:
    head = {"id": id, "type": "function"} if id else {}
    return {
        "tool_calls": [{"index": index, "function": {"arguments": arguments} | ({"name": name} if name else {})} | head]
    }


@pytest.mark.parametrize("stream", [False, True])
async def test_an_agent_that_says_nothing_gives_empty_content(tools: Service, stream: bool) -> None:
    answer = await tools.chat("silent", stream=stream)
    if stream:
        assert [c["choices"][0]["delta"] for c in chunks(answer.text)] == [{"role": "assistant", "content": ""}, {}]
    else:
        assert answer.json()["choices"][0]["message"]["content"] == ""


@pytest.mark.parametrize(
    ("more", "agent", "shown"),
    [
        ({}, "curl/8", True),
        ({"tools": []}, "curl/8", True),
        ({"tools": None}, "curl/8", True),
        ({"tools": [{"type": "function"}]}, "curl/8", False),
        ({"functions": [{"name": "x"}]}, "curl/8", False),
        ({}, "Agents/Python 0.3", False),
        ({}, "pydantic-ai/1.2", False),
        ({}, "ai-sdk-openai/2", False),
    ],
)
async def test_clients_that_would_run_tool_calls_get_text_only(
    tools: Service, more: dict[str, object], agent: str, shown: bool
) -> None:
    body = question("todo", stream=True, **more)
    answer = await tools.client.post("/v1/chat/completions", json=body, headers={"User-Agent": agent})
    assert ("tool_calls" in answer.text) is shown
    assert "\\n\\nWater" in answer.text


@pytest.mark.parametrize(("policy", "shown"), [(ToolCalls.ALWAYS, True), (ToolCalls.NEVER, False)])
async def test_the_operator_may_decide_on_tool_calls(start: Start, policy: ToolCalls, shown: bool) -> None:
    service = await start(FakeGateway(answers={"todo": TOOL_TURN}), options=ChatOptions(tool_calls=policy))
    answer = await service.chat("todo", stream=True, tools=[{"type": "function"}] if shown else [])
    assert ("tool_calls" in answer.text) is shown


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_answers_the_agents_own_tool_call_delivers_nothing(tools: Service, stream: bool) -> None:
    messages = [
        {"role": "user", "content": "todo"},
        {"role": "assistant", "tool_calls": [{"id": "call_agent_abc"}]},
        {"role": "tool", "tool_call_id": "call_agent_abc", "content": "Error: no such tool"},
        {"role": "system", "content": "Please return text."},
    ]
    answer = await tools.chat(messages=messages, stream=stream)
    assert answer.status_code == 200
    assert '"content":""' in answer.text
    assert '"finish_reason":"stop"' in answer.text
    assert tools.gateway.delivered == []


async def test_tool_messages_with_other_ids_are_ignored(tools: Service) -> None:
    messages = [
        {"role": "tool", "tool_call_id": "call_agent_old", "content": "before"},
        {"role": "user", "content": "hello"},
        {"role": "tool", "tool_call_id": "call_other", "content": "x"},
    ]
    assert (await tools.chat(messages=messages)).status_code == 200
    assert [turn.message and turn.message.text for turn in tools.gateway.delivered] == ["hello"]


async def test_an_answer_whose_language_model_was_cut_off_says_so_also_when_it_is_replayed(start: Start) -> None:
    service = await start(FakeGateway(answers={"hello": [Accepted("run-1"), Text("cut o"), Ended(cut_off=True)]}))
    for stream in (False, True):
        key = {"Idempotency-Key": f"once-{stream}"}
        for _ in range(2):
            body = question(stream=stream)
            answer = await service.client.post("/v1/chat/completions", json=body, headers=key)
            last = chunks(answer.text)[-1] if stream else answer.json()
            assert last["choices"][0]["finish_reason"] == "length"
    assert len(service.gateway.delivered) == 2


async def test_line_separators_are_escaped_in_streams(start: Start) -> None:
    text = "a\u2028b\u2029c\u0085d \N{PARTY POPPER} \\u2028"
    service = await start(FakeGateway(answers={"hello": [Accepted(), Text(text), Ended()]}))
    answer = await service.chat(stream=True)
    assert not set("\u2028\u2029\u0085") & set(answer.text)
    assert chunks(answer.text)[1]["choices"][0]["delta"] == {"content": text}


async def test_silence_is_filled_with_comments(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_module, "KEEP_ALIVE_EVERY", 0.05)
    thoughts: list[Step] = [step for _ in range(6) for step in (Reasoning("hm"), 0.04)]
    service = await start(FakeGateway(answers={"hello": [Accepted(), *thoughts, Text("yes"), Ended()]}))
    answer = await service.chat(stream=True)
    assert answer.text.count(": keep-alive\n\n") >= 2
    assert [c["choices"][0]["delta"] for c in chunks(answer.text)][1:] == [{"content": "yes"}, {}]


async def test_a_stream_begins_when_the_backend_is_slow_to_accept(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_module, "STATUS_WITHIN", 0.05)
    service = await start(FakeGateway(answers={"hello": [0.3, Accepted(), Text("late"), Ended()]}))
    async with service.client.stream("POST", "/v1/chat/completions", json=question(stream=True)) as answer:
        first = await anext(answer.aiter_text())
        assert '"role":"assistant"' in first
        assert "late" not in first


async def test_text_arrives_as_the_agent_speaks(start: Start) -> None:
    service = await start(FakeGateway(answers={"hello": [Accepted(), Text("one"), 0.3, Text("two"), Ended()]}))
    async with service.client.stream("POST", "/v1/chat/completions", json=question(stream=True)) as answer:
        async for piece in answer.aiter_text():
            if "one" in piece:
                assert "two" not in piece
                break
        else:
            pytest.fail("the first word never came")


async def test_a_client_that_hangs_up_does_not_stop_the_turn(start: Start) -> None:
    gateway = FakeGateway(answers={"hello": [Accepted(), Text("one"), 0.2, Text("two"), Ended()]})
    service = await start(gateway)
    async with service.client.stream("POST", "/v1/chat/completions", json=question(stream=True)) as answer:
        await anext(answer.aiter_text())
    await asyncio.sleep(0.4)
    assert gateway.closed_early == []
    assert len(gateway.delivered) == 1
    assert (await service.chat("again")).status_code == 200


async def test_stopping_lets_answers_end(start: Start) -> None:
    service = await start(FakeGateway(answers={"hello": [Accepted(), 0.4, Text("done"), Ended()]}), grace=5.0)
    answering = asyncio.create_task(service.chat(stream=True))
    await asyncio.sleep(0.2)
    service.server.should_exit = True
    assert "done" in (await answering).text


async def test_stopping_ends_what_takes_too_long_with_an_honest_error(start: Start) -> None:
    gateway = FakeGateway(answers={"hello": [Accepted(), Text("one"), 60.0, Ended()]})
    service = await start(gateway, grace=0.3)
    answering = asyncio.create_task(service.chat(stream=True))
    await asyncio.sleep(0.2)
    service.server.should_exit = True
    text = (await answering).text
    assert '"code":"shutting_down"' in text
    assert "was delivered" in text
    assert text.endswith("data: [DONE]\n\n")


async def test_many_chats_at_once_do_not_mix(start: Start) -> None:
    service = await start(rules=TurnRules(max_waiting=40))
    answers = await asyncio.gather(*(service.chat(f"number {n}", stream=n % 2 == 0) for n in range(40)))
    for n, answer in enumerate(answers):
        assert f"number {n}" in answer.text
    assert len(service.gateway.delivered) == 40
