"""Asks for responses and reads their events, as strictly as OpenAI's own SDKs do."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from tests.http.conftest import Service

Event = Mapping[str, Any]
# The only ones: openai-node raises on any other.
KNOWN = {
    "response.created",
    "response.queued",
    "response.in_progress",
    "response.completed",
    "response.failed",
    "response.incomplete",
    "response.output_item.added",
    "response.output_item.done",
    "response.content_part.added",
    "response.content_part.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_part.done",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.mcp_call.in_progress",
    "response.mcp_call.completed",
    "response.mcp_call.failed",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
}
_LAST = ("response.completed", "response.failed", "response.incomplete")


async def create(service: Service, input_: object = "hello", **more: Any) -> httpx.Response:
    headers = more.pop("headers", None)
    return await service.client.post("/v1/responses", json={"model": "anna", "input": input_, **more}, headers=headers)


async def created(service: Service, input_: object = "hello", **more: Any) -> dict[str, Any]:
    answer = await create(service, input_, **more)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def events_in(body: str) -> list[Event]:
    """Of a stream that was read to its end."""
    assert body.endswith("data: [DONE]\n\n")
    events = []
    for block in body.split("\n\n")[:-2]:
        if block.startswith(":"):
            continue
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    return events


async def streamed(service: Service, input_: object = "hello", **more: Any) -> list[Event]:
    answer = await create(service, input_, stream=True, **more)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = events_in(answer.text)
    assert_in_order(events)
    return events


async def resumed(service: Service, response_id: str, after: int | None = None) -> list[Event]:
    query = {"stream": "true"} | ({} if after is None else {"starting_after": str(after)})
    answer = await service.client.get(f"/v1/responses/{response_id}", params=query)
    assert answer.status_code == 200, answer.text
    return events_in(answer.text)


def assert_in_order(events: Sequence[Event]) -> None:
    """Numbers without gaps, `created` first, items one after the other, the end last and with all of them."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    types = [event["type"] for event in events]
    assert set(types) <= KNOWN
    assert types[0] == "response.created"
    assert [kind for kind in types if kind in _LAST] == [types[-1]]
    ids = {event["response"]["id"] for event in events if "response" in event}
    assert len(ids) == 1
    done: list[Any] = []
    is_open: dict[str, Any] | None = None
    for event in events:
        if event["type"] == "response.output_item.added":
            assert is_open is None, "items come one after the other"
            assert event["output_index"] == len(done)
            is_open = event["item"]
        elif event["type"] == "response.output_item.done":
            assert is_open is not None
            assert (event["item"]["id"], event["item"]["type"]) == (is_open["id"], is_open["type"])
            done.append(event["item"])
            is_open = None
        elif "output_index" in event:
            assert is_open is not None
            assert event["output_index"] == len(done)
            assert event["item_id"] == is_open["id"]
    assert is_open is None
    assert events[-1]["response"]["output"] == done


def text_of(response: Mapping[str, Any]) -> str:
    """As the SDKs' `output_text`."""
    return "".join(part["text"] for item in response["output"] if item["type"] == "message" for part in item["content"])


def deltas(events: Sequence[Event]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
