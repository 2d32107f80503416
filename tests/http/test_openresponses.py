"""Seven requests of the compliance suite of openresponses.org, those that an agent can meet; each response and each
event is held against its published schemas (the package openresponses-types)."""

from typing import Any

import pytest
from openresponses_types import types
from pydantic import BaseModel

from domain.model.events import Accepted, Ended, Reasoning, Text, ToolCall, ToolResult
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from entrypoints.settings.chat_options import ChatOptions
from tests.fakes.gateway import FakeGateway, Step
from tests.http.conftest import Service, Start
from tests.http.responses_client import created, streamed, text_of

pytestmark = pytest.mark.anyio

EVENTS: dict[str, type[BaseModel]] = {
    "response.created": types.ResponseCreatedStreamingEvent,
    "response.queued": types.ResponseQueuedStreamingEvent,
    "response.in_progress": types.ResponseInProgressStreamingEvent,
    "response.completed": types.ResponseCompletedStreamingEvent,
    "response.failed": types.ResponseFailedStreamingEvent,
    "response.incomplete": types.ResponseIncompleteStreamingEvent,
    "response.output_item.added": types.ResponseOutputItemAddedStreamingEvent,
    "response.output_item.done": types.ResponseOutputItemDoneStreamingEvent,
    "response.content_part.added": types.ResponseContentPartAddedStreamingEvent,
    "response.content_part.done": types.ResponseContentPartDoneStreamingEvent,
    "response.output_text.delta": types.ResponseOutputTextDeltaStreamingEvent,
    "response.output_text.done": types.ResponseOutputTextDoneStreamingEvent,
    "response.reasoning_summary_part.added": types.ResponseReasoningSummaryPartAddedStreamingEvent,
    "response.reasoning_summary_part.done": types.ResponseReasoningSummaryPartDoneStreamingEvent,
    "response.reasoning_summary_text.delta": types.ResponseReasoningSummaryDeltaStreamingEvent,
    "response.reasoning_summary_text.done": types.ResponseReasoningSummaryDoneStreamingEvent,
    "response.function_call_arguments.delta": types.ResponseFunctionCallArgumentsDeltaStreamingEvent,
    "response.function_call_arguments.done": types.ResponseFunctionCallArgumentsDoneStreamingEvent,
}
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,aGk="}
ANSWERS: dict[str, list[Step]] = {
    "all": [
        Accepted("run-1"),
        Reasoning("Let me think."),
        Text("Let me look."),
        ToolCall("1", "look", "{}"),
        ToolResult("1", "seen"),
        Text("Done."),
        Ended(),
    ],
    "cut": [Accepted(), Text("as far as"), Ended(cut_off=True)],
    "fails": [Accepted(), Text("half"), Failure(FailureCode.LLM_ERROR, Delivery.YES)],
}


def user(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text, **more}


REQUESTS: dict[str, dict[str, Any]] = {
    "basic-response": {"input_": [user("Say hello.")]},
    "streaming-response": {"input_": [user("Count from 1 to 5.")]},
    "system-prompt": {
        "input_": [{"type": "message", "role": "system", "content": "You are a pirate."}, user("Say hello.")]
    },
    "image-input": {"input_": [user("", content=[{"type": "input_text", "text": "What is it?"}, IMAGE])]},
    "multi-turn": {
        "input_": [
            user("My name is Alice."),
            {"type": "message", "role": "assistant", "content": "Hello Alice!"},
            user("What is my name?"),
        ]
    },
    "assistant-phase": {
        "input_": [
            user("Hi."),
            {"type": "message", "role": "assistant", "phase": "final_answer", "content": "Hello!"},
            user("And now?"),
        ]
    },
    "background": {"input_": "Say hello.", "background": True},
}


@pytest.fixture
async def service(start: Start) -> Service:
    return await start(FakeGateway(answers=ANSWERS), options=ChatOptions(reasoning=True, usage=True))


def validate(events: list[Any]) -> None:
    for event in events:
        EVENTS[event["type"]].model_validate(event)


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_of_the_suite(service: Service, name: str) -> None:
    response = await created(service, **REQUESTS[name])
    types.ResponseResource.model_validate(response)
    events = await streamed(service, **REQUESTS[name])
    validate(list(events))
    types.ResponseResource.model_validate(events[-1]["response"])
    assert text_of(events[-1]["response"]).startswith("You said: ")


@pytest.mark.parametrize("message", ANSWERS)
async def test_every_other_event_that_the_schemas_know(service: Service, message: str) -> None:
    """The agent's tools as functions: the schemas have no `mcp_call`."""
    events = await streamed(service, message, headers={"X-OpenWebUI-Chat-Id": "1"})
    validate(list(events))
