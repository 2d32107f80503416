"""POST /v1/responses: what is delivered, and what comes back, whole and streamed."""

import asyncio
from typing import Any

import pytest
from openresponses_types.types import ResponseResource

from domain.model.events import Accepted, ApprovalRequest, Ended, Reasoning, Text, ToolCall, ToolResult, Usage
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from entrypoints.settings.chat_options import ChatOptions, ToolCalls
from tests.fakes.gateway import FakeGateway, Step
from tests.http.conftest import Service, Start
from tests.http.responses_client import create, created, deltas, streamed, text_of

pytestmark = pytest.mark.anyio

TOOL_TURN: list[Step] = [
    Accepted("run-1"),
    Reasoning("Let me think."),
    Text("Let me "),
    Text("look."),
    ToolCall("abc", "list_todos"),
    ToolCall("abc", arguments='{"list":'),
    ToolCall("abc", arguments='"work"}'),
    ToolCall("def", "count"),
    ToolResult("abc", "the plants"),
    ToolResult("def", "it broke", ok=False),
    Text("Water "),
    Text("the plants."),
    Usage(7, 5),
    Ended(),
]
LLM_FAILED = Failure(FailureCode.LLM_ERROR, Delivery.YES)
ANSWERS: dict[str, list[Step]] = {
    "todo": TOOL_TURN,
    "silent": [Accepted(), Ended()],
    "fails": [Accepted("run-2"), Text("half of"), LLM_FAILED],
    "fails at once": [Accepted("run-3"), LLM_FAILED],
    "away": [Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)],
    "unknown": [Failure(FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN)],
    "cut": [Accepted(), Text("as far as"), Ended(cut_off=True)],
    "ask": [Accepted(), Text("Let me."), ApprovalRequest("q1", "rm", '{"path":"/"}'), Ended()],
}
OPEN_WEBUI = {"X-OpenWebUI-Chat-Id": "chat-1"}


@pytest.fixture
async def service(start: Start) -> Service:
    return await start(FakeGateway(answers=ANSWERS))


def kinds(response: dict[str, Any]) -> list[str]:
    return [item["type"] for item in response["output"]]


async def test_a_whole_response_has_all_of_openais_members(service: Service) -> None:
    response = await created(service, "hello")
    assert response["id"].startswith("resp_")
    assert response["status"] == "completed"
    assert response["model"] == "anna"
    assert text_of(response) == "You said: hello"
    assert response["usage"] is None
    assert (response["store"], response["background"], response["tool_choice"]) == (True, False, "auto")
    ResponseResource.model_validate(response)


async def test_a_stream_ends_with_the_same_response(service: Service) -> None:
    events = await streamed(service, "hello")
    assert [event["type"].removeprefix("response.") for event in events if "delta" not in event["type"]] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert deltas(events) == "You said: hello"
    assert text_of(events[-1]["response"]) == "You said: hello"
    ResponseResource.model_validate(events[-1]["response"])


async def test_parameters_are_told_again_and_odd_ones_as_their_defaults(service: Service) -> None:
    response = await created(
        service,
        instructions="Be brief.",
        temperature=0.2,
        top_p="much",
        metadata={"a": "b"},
        tools=[{"type": "function", "name": "add"}],
        text={"verbosity": "low"},
        truncation=None,
        nobody_knows="this",
    )
    assert (response["instructions"], response["temperature"], response["top_p"]) == ("Be brief.", 0.2, 1.0)
    assert response["metadata"] == {"a": "b"}
    assert response["tools"][0] == {
        "type": "function",
        "name": "add",
        "description": None,
        "parameters": None,
        "strict": None,
    }
    assert response["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert response["truncation"] == "disabled"
    assert "nobody_knows" not in response


async def test_the_agents_tools_are_mcp_calls_one_after_the_other(service: Service) -> None:
    events = await streamed(service, "todo", tools=[{"type": "function", "name": "mine"}])
    response = events[-1]["response"]
    assert kinds(response) == ["message", "mcp_call", "mcp_call", "message"]
    before, first, second, after = response["output"]
    assert before["content"][0]["text"] == "Let me look."
    assert after["content"][0]["text"] == "Water the plants."
    assert (first["server_label"], first["name"], first["arguments"]) == ("letta", "list_todos", '{"list":"work"}')
    assert (first["output"], first["error"], first["status"]) == ("the plants", None, "completed")
    assert (second["arguments"], second["output"], second["status"]) == ("{}", None, "failed")
    assert second["error"]["content"][0]["text"] == "it broke"
    arguments = [event for event in events if event["type"] == "response.mcp_call_arguments.delta"]
    assert [event["delta"] for event in arguments] == ['{"list":', '"work"}', "{}"]


async def test_open_webui_gets_functions_with_their_outputs_in_lists(service: Service) -> None:
    events = await streamed(service, "todo", headers=OPEN_WEBUI)
    response = events[-1]["response"]
    pair = ["function_call", "function_call_output"]
    assert kinds(response) == ["message", *pair, *pair, "message"]
    call, output = response["output"][1:3]
    assert call["call_id"] == output["call_id"]
    assert (call["name"], call["arguments"]) == ("list_todos", '{"list":"work"}')
    assert output["output"] == [{"type": "input_text", "text": "the plants"}]
    ResponseResource.model_validate(response)


async def test_a_call_that_nothing_came_of_has_an_output_all_the_same(start: Start) -> None:
    broken: list[Step] = [Accepted(), ToolCall("abc", "list_todos", "{}"), LLM_FAILED]
    service = await start(FakeGateway(answers={"todo": broken}))
    for_webui = (await streamed(service, "todo", headers=OPEN_WEBUI))[-1]["response"]
    assert kinds(for_webui) == ["function_call", "function_call_output"]
    assert for_webui["status"] == "failed"


async def test_tools_can_be_hidden(start: Start) -> None:
    service = await start(FakeGateway(answers=ANSWERS), options=ChatOptions(tool_calls=ToolCalls.NEVER))
    assert kinds(await created(service, "todo")) == ["message", "message"]
    assert kinds((await streamed(service, "todo"))[-1]["response"]) == ["message", "message"]


async def test_reasoning_and_usage_are_shown_if_the_operator_wants_it(start: Start) -> None:
    service = await start(FakeGateway(answers=ANSWERS), options=ChatOptions(reasoning=True, usage=True))
    events = await streamed(service, "todo")
    response = events[-1]["response"]
    assert kinds(response)[0] == "reasoning"
    assert response["output"][0]["summary"] == [{"type": "summary_text", "text": "Let me think."}]
    assert response["usage"]["total_tokens"] == 12
    assert "response.reasoning_summary_text.delta" in {event["type"] for event in events}
    ResponseResource.model_validate({**response, "output": []})


async def test_a_failure_after_the_delivery_is_an_answer_that_failed(service: Service) -> None:
    answer = await create(service, "fails")
    assert answer.status_code == 200
    response = answer.json()
    assert response["status"] == "failed"
    assert text_of(response) == "half of"
    assert response["output"][0]["status"] == "incomplete"
    assert response["error"]["code"] == "llm_error"
    assert "do not send it again" in response["error"]["message"]


@pytest.mark.parametrize("message", ["fails", "fails at once", "unknown"])
async def test_a_stream_that_fails_after_the_delivery_has_an_item_before_that(service: Service, message: str) -> None:
    events = await streamed(service, message)
    types = [event["type"] for event in events]
    assert types[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert types[-1] == "response.failed"
    assert events[-1]["response"]["error"]["type"] == "api_error"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_failure_before_the_delivery_is_an_http_error(service: Service, stream: bool) -> None:
    answer = await create(service, "away", stream=stream)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"
    assert answer.headers["x-should-retry"] == "true"


async def test_codex_is_told_a_code_after_which_it_does_not_send_again(service: Service) -> None:
    events = await streamed(service, "fails", client_metadata={"turn_id": "turn-1"})
    assert events[-1]["response"]["error"]["code"] == "invalid_prompt"


async def test_an_answer_that_was_cut_off_is_incomplete_but_not_for_those_who_raise_on_that(service: Service) -> None:
    events = await streamed(service, "cut")
    response = events[-1]["response"]
    assert (events[-1]["type"], response["status"]) == ("response.incomplete", "incomplete")
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    agents = (await streamed(service, "cut", headers={"User-Agent": "Agents/Python 0.24.0"}))[-1]
    assert (agents["type"], agents["response"]["status"]) == ("response.completed", "completed")


async def test_an_approval_is_asked_for_in_words(service: Service) -> None:
    assert "Answer /approve" in text_of(await created(service, "ask"))


@pytest.mark.parametrize("approve", [True, False])
async def test_a_client_that_declares_the_server_approves_by_an_item(service: Service, approve: bool) -> None:
    response = await created(service, "ask", tools=[{"type": "mcp", "server_label": "letta", "server_url": "x"}])
    asked = response["output"][-1]
    assert (asked["type"], asked["name"], asked["arguments"]) == ("mcp_approval_request", "rm", '{"path":"/"}')
    verdict = {"type": "mcp_approval_response", "approval_request_id": asked["id"], "approve": approve}
    await created(service, [{"role": "user", "content": "old"}, {**verdict, "reason": "not today"}])
    given = service.gateway.delivered[-1].verdict
    assert given is not None
    assert (given.call_ids, given.approve) == (("q1",), approve)
    assert given.reason == ("" if approve else "not today")


@pytest.mark.parametrize(
    ("input_", "delivered"),
    [
        ("hello", "hello"),
        ([{"role": "user", "content": "hello"}], "hello"),
        ([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}], "hello"),
        (
            [{"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "text", "text": "b"}]}],
            "a\nb",
        ),
        (
            [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": "old"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]},
                {"type": "nobody_knows", "x": [1]},
                {"role": "USER", "content": "new"},
                {"type": "item_reference", "id": 7},
                {"type": "function_call_output", "call_id": "foreign", "output": "x"},
            ],
            "new",
        ),
    ],
)
async def test_only_the_last_user_message_is_delivered(service: Service, input_: object, delivered: str) -> None:
    await created(service, input_)
    [turn] = service.gateway.delivered
    assert turn.message is not None
    assert turn.message.text == delivered


async def test_an_image_is_a_string_here(service: Service) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"}
    await created(service, [{"role": "user", "content": [{"type": "input_text", "text": "see"}, image]}])
    assert service.gateway.delivered[0].message is not None
    assert len(service.gateway.delivered[0].message.images) == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": None}, "input"),
        ({"input": "  "}, "input"),
        ({"input": []}, "input"),
        ({"input": 7}, "input"),
        ({"input": {"role": "user"}}, "input"),
        ({"input": [{"role": "assistant", "content": "hi"}]}, "input"),
        ({"input": [{"role": "user", "content": ""}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://x/y.png"}]}]}, None),
        ({"stream": "yes"}, "stream"),
        ({"background": 1}, "background"),
        ({"store": "no"}, "store"),
        ({"model": 7}, "model"),
        ({"previous_response_id": 7}, "previous_response_id"),
        ({"conversation": 7}, "conversation"),
        ({"conversation": {"no": "id"}}, "conversation.id"),
        ({"background": True, "store": False}, "background"),
        ({"conversation": "conv_1", "previous_response_id": "resp_1"}, "previous_response_id"),
    ],
)
async def test_what_is_wrong_is_named(service: Service, body: dict[str, Any], param: str | None) -> None:
    answer = await service.client.post("/v1/responses", json={"model": "anna", "input": "hello", **body})
    assert answer.status_code == 400, answer.text
    if param is not None:
        assert answer.json()["error"]["param"] == param
    assert service.gateway.delivered == []


async def test_an_output_of_the_agents_own_call_delivers_nothing(service: Service) -> None:
    shown = (await created(service, "todo", headers=OPEN_WEBUI))["output"][1]
    output = {"type": "function_call_output", "call_id": shown["call_id"], "output": "the plants"}
    for input_ in ([{"role": "user", "content": "todo"}, shown, output], [shown, output]):
        response = await created(service, input_)
        assert (response["status"], response["output"]) == ("completed", [])
        assert (await streamed(service, input_))[-1]["response"]["output"] == []
    assert len(service.gateway.delivered) == 1
    again = [*[{"role": "user", "content": "todo"}, shown, output], {"role": "user", "content": "and now?"}]
    assert text_of(await created(service, again)) == "You said: and now?"


async def test_a_title_for_open_webui_reaches_no_agent(service: Service) -> None:
    prompt = '### Task:\nGenerate a title.\n### Output:\nJSON format: { "title": "..." }\n### Chat History:\n'
    prompt += "<chat_history>\nUSER: plants\n</chat_history>"
    input_ = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": prompt}]}]
    response = await created(service, input_, stream=False, max_output_tokens=1000, headers=OPEN_WEBUI)
    assert "title" in text_of(response)
    assert service.gateway.delivered == []


async def test_only_open_webui_asks_to_continue_by_ending_with_the_answer(service: Service) -> None:
    input_ = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "You sa"}]
    await created(service, input_)
    assert service.gateway.delivered[0].message is not None
    assert service.gateway.delivered[0].message.text == "hello"
    await created(service, input_, headers={**OPEN_WEBUI, "X-Message-Id": "m-1"})
    assert service.gateway.delivered[1].message is not None
    assert service.gateway.delivered[1].message.text != "hello"


async def test_without_an_identity_it_is_the_default_history_and_with_a_chat_key_that_chat(service: Service) -> None:
    await created(service)
    await created(service, headers={"X-Letta-Chat-Key": "mine"})
    default, chat = service.gateway.delivered
    assert default.conversation is None
    assert chat.conversation is not None
    await service.chat("hi", messages=[{"role": "user", "content": "hi"}])
    answer = await service.client.post(
        "/v1/chat/completions",
        json={"model": "anna", "messages": [{"role": "user", "content": "hi"}]},
        headers={"X-Letta-Chat-Key": "mine"},
    )
    assert answer.status_code == 200
    assert service.gateway.delivered[-1].conversation == chat.conversation


async def test_responses_and_chats_wait_for_each_other(start: Start) -> None:
    slow: list[Step] = [Accepted(), 0.3, Text("done"), Ended()]
    service = await start(FakeGateway(answers={"slow": slow, "slower": slow}))
    await asyncio.gather(created(service, "slow"), service.chat("slower"))
    assert service.gateway.most_at_once == 1
