"""Reasoning and usage: hidden and null, unless the operator wants them."""

import json
from typing import Any

import httpx
import pytest

from domain.model.api_key import NamedKey, digest_of
from domain.model.events import Accepted, Ended, Reasoning, Text, ToolCall, ToolResult, Usage
from entrypoints.settings.chat_options import ChatOptions
from tests.fakes.gateway import FakeGateway, Step
from tests.fakes.key_store import FakeNamedKeyStore
from tests.http.conftest import Service, Start, question

pytestmark = pytest.mark.anyio

TURN: list[Step] = [
    Accepted("run"),
    Reasoning("Let me "),
    Reasoning("look."),
    ToolCall("c", "search", "{}"),
    ToolResult("c", "found"),
    Reasoning("There it is."),
    Text("Here."),
    Usage(100, 20),
    Ended(),
]
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


def gateway() -> FakeGateway:
    return FakeGateway(answers={"hello": TURN})


def chunks(text: str) -> list[dict[str, Any]]:
    return [json.loads(event[6:]) for event in text.split("\n\n") if event.startswith("data: {")]


async def test_by_default_nothing_is_shown(start: Start) -> None:
    service = await start(gateway())
    whole = (await service.chat()).json()
    assert whole["usage"] is None
    assert "reasoning_content" not in whole["choices"][0]["message"]
    stream = await service.chat(stream=True, stream_options={"include_usage": True})
    assert "reasoning" not in stream.text
    assert "usage" not in stream.text


async def test_reasoning_can_be_shown(start: Start) -> None:
    service = await start(gateway(), options=ChatOptions(reasoning=True))
    message = (await service.chat()).json()["choices"][0]["message"]
    assert message["reasoning_content"] == "Let me look.\n\nThere it is."
    assert message["content"] == "Here."
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks((await service.chat("hello", stream=True)).text)]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Let me look.\n\nThere it is."
    assert "".join(delta.get("content", "") for delta in deltas) == "Here."


async def test_usage_can_be_reported(start: Start) -> None:
    service = await start(gateway(), options=ChatOptions(usage=True))
    assert (await service.chat()).json()["usage"] == USAGE
    plain = await service.chat(stream=True)
    assert "usage" not in plain.text
    *before, last = chunks((await service.chat(stream=True, stream_options={"include_usage": True})).text)
    assert all(chunk["usage"] is None for chunk in before)
    assert before[-1]["choices"][0]["finish_reason"] == "stop"
    assert (last["choices"], last["usage"]) == ([], USAGE)


async def test_a_turn_without_usage_reports_none(start: Start) -> None:
    service = await start(options=ChatOptions(usage=True))
    assert (await service.chat()).json()["usage"] is None
    stream = await service.chat(stream=True, stream_options={"include_usage": True})
    assert chunks(stream.text)[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("options", [None, [], "x", {"include_usage": "x"}, {"include_usage": 5}])
async def test_odd_stream_options_are_ignored(start: Start, options: object) -> None:
    service = await start(gateway(), options=ChatOptions(usage=True))
    answer = await service.chat(stream=True, stream_options=options)
    assert answer.status_code == 200
    assert "usage" not in answer.text


CHAT = "/v1/chat/completions"
WANTED = {"stream": True, "stream_options": {"include_usage": True}}
# A request that merely answers a tool call of the agent's: nothing is delivered.
TOOL_RESULT = [{"role": "user", "content": "hi"}, {"role": "tool", "content": "done", "tool_call_id": "call_agent_c"}]


@pytest.fixture
async def service(start: Start) -> Service:
    ring = FakeNamedKeyStore(
        NamedKey("llm", digest_of(b"llms key"), 0.0, usage=True), NamedKey("other", digest_of(b"others key"), 0.0)
    )
    return await start(gateway(), ring=ring)


async def answer_to(service: Service, key: str, **body: object) -> httpx.Response:
    answer = await service.client.post(CHAT, json=body, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    return answer


async def test_a_key_can_have_usage_reported_to_it_alone(service: Service) -> None:
    assert (await answer_to(service, "llms key", **question())).json()["usage"] == USAGE
    *before, last = chunks((await answer_to(service, "llms key", **question(), **WANTED)).text)
    assert all(chunk["usage"] is None for chunk in before)
    assert (last["choices"], last["usage"]) == ([], USAGE)
    assert "usage" not in (await answer_to(service, "llms key", **question(stream=True))).text
    assert (await answer_to(service, "others key", **question())).json()["usage"] is None
    assert "usage" not in (await answer_to(service, "others key", **question(), **WANTED)).text
    assert (await service.chat()).json()["usage"] is None


@pytest.mark.parametrize("body", [question("not counted"), {"model": "anna", "messages": TOOL_RESULT}])
async def test_what_nobody_counted_is_zero_to_a_key_that_needs_a_number(
    service: Service, body: dict[str, object]
) -> None:
    none = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert (await answer_to(service, "llms key", **body)).json()["usage"] == none
    assert chunks((await answer_to(service, "llms key", **body, **WANTED)).text)[-1]["usage"] == none
    assert (await answer_to(service, "others key", **body)).json()["usage"] is None
