"""The Responses API in front of a real Letta server. What the agent received is asked of Letta itself."""

import time
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.http.responses_client import assert_in_order, events_in
from tests.letta_server.admin import LettaAdmin
from tests.letta_server.conftest import Service, eventually
from tests.letta_server.lab import LettaLab

pytestmark = pytest.mark.letta

TOOL_TEXT = "The tool answered 1 time(s) , all done ."


@pytest.fixture(scope="module")
def agent(admin: LettaAdmin, service: Service) -> str:
    return admin.create_agent("responding agent")


def received(admin: LettaAdmin, agent: str, text: str) -> int:
    return admin.user_messages(agent).count(text)


def streamed(service: Service, agent: str, text: str, **more: Any) -> list[Any]:
    body = {"model": agent, "input": text, "stream": True, **more}
    events = events_in(service.http.post("/v1/responses", json=body).text)
    assert_in_order(events)
    return events


def ended(service: Service, response_id: str) -> Any:
    """As the SDK's users poll."""
    deadline = time.monotonic() + 60
    response = service.openai.responses.retrieve(response_id)
    while response.status in ("queued", "in_progress"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
        response = service.openai.responses.retrieve(response_id)
    return response


def test_a_whole_response_and_what_is_kept_of_it(admin: LettaAdmin, service: Service, agent: str) -> None:
    response = service.openai.responses.create(model=agent, input="[[say a response]]")
    assert response.output_text == "a response"
    assert service.openai.responses.retrieve(response.id) == response
    [item] = service.openai.responses.input_items.list(response.id).data
    assert item.type == "message"
    assert received(admin, agent, "[[say a response]]") == 1


def test_a_streamed_response_with_a_tool(admin: LettaAdmin, service: Service, agent: str) -> None:
    events = streamed(service, agent, "[[text+tool]] response")
    response = events[-1]["response"]
    assert [item["type"] for item in response["output"]] == ["message", "mcp_call", "message"]
    before, call, after = response["output"]
    assert before["content"][0]["text"] == "Let me look at your list ."
    assert (call["name"], call["arguments"], call["status"]) == ("list_todos", '{"list_name": "work"}', "completed")
    assert "water the plants" in call["output"]
    assert after["content"][0]["text"] == TOOL_TEXT
    assert received(admin, agent, "[[text+tool]] response") == 1


def test_the_sdks_stream_helper(admin: LettaAdmin, service: Service, agent: str) -> None:
    text = "[[words 12]] helper"
    with service.openai.responses.stream(model=agent, input=text) as stream:
        said = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert stream.get_final_response().output_text == said == " ".join(f"w{n}" for n in range(1, 13))
    assert received(admin, agent, text) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_after_the_delivery_is_a_response_that_failed(
    admin: LettaAdmin, service: Service, agent: str, stream: bool
) -> None:
    text = f"[[tool-then-error 500]] response {stream}"
    if stream:
        response = streamed(service, agent, text)[-1]["response"]
    else:
        answer = service.http.post("/v1/responses", json={"model": agent, "input": text})
        assert answer.status_code == 200
        response = answer.json()
    assert (response["status"], response["error"]["code"]) == ("failed", "llm_error")
    assert received(admin, agent, text) == 1


def test_a_chat_goes_on_from_its_last_response(service: Service, agent: str) -> None:
    conversation = service.openai.conversations.create(metadata={"topic": "plants"})
    first = service.openai.responses.create(model=agent, input="[[say one]]", conversation=conversation.id)
    second = service.openai.responses.create(model=agent, input="[[text+tool]]", previous_response_id=first.id)
    assert second.conversation is not None
    assert second.conversation.id == conversation.id
    with pytest.raises(openai.BadRequestError) as refused:
        service.openai.responses.create(model=agent, input="[[say three]]", previous_response_id=first.id)
    assert refused.value.code == "previous_response_not_last"
    service.openai.conversations.items.create(
        conversation.id, items=[{"type": "message", "role": "user", "content": "nobody is told this"}]
    )
    items = [item.to_dict() for item in service.openai.conversations.items.list(conversation.id, order="asc")]
    said = [
        (item["role"], item["content"][0]["text"]) if item["type"] == "message" else item["type"]  # type: ignore[index]
        for item in items
    ]
    assert said == [
        ("user", "[[say one]]"),
        ("assistant", "one"),
        ("user", "[[text+tool]]"),
        ("assistant", "Let me look at your list ."),
        "mcp_call",
        ("assistant", TOOL_TEXT),
        ("user", "nobody is told this"),
    ]
    assert service.openai.conversations.delete(conversation.id).deleted


def test_a_response_in_the_background_is_cancelled_by_its_run(admin: LettaAdmin, service: Service, agent: str) -> None:
    text = "[[drip 100 0.2]] cancelled"
    response = service.openai.responses.create(model=agent, input=text, background=True)
    assert response.status == "queued"
    eventually(lambda: service.openai.responses.retrieve(response.id).output_text != "", 60)
    assert service.openai.responses.cancel(response.id).status == "cancelled"
    assert service.ask(agent, "[[say still here]]") == "still here"


def test_a_stream_that_breaks_with_the_service_goes_on_after_its_restart(
    admin: LettaAdmin, lab: LettaLab, tmp_path: Path
) -> None:
    """kill -9 in the middle of a background response: the same events, the same numbers, one delivery."""
    agent, text = admin.create_agent("resumed agent"), "[[drip 40 0.1]] resumed"
    service = Service(tmp_path, lab.base_url)
    try:
        stream = service.openai.responses.create(model=agent, input=text, background=True, stream=True)
        told = []
        for event in stream:
            told.append(event)
            if event.type == "response.output_text.delta" and "w10" in event.delta:
                break
        service.kill()
        service.start()
        created: Any = told[0]
        response_id, last = created.response.id, told[-1].sequence_number
        rest = list(service.openai.responses.retrieve(response_id, stream=True, starting_after=last))
        assert [event.sequence_number for event in (*told, *rest)] == list(range(len(told) + len(rest)))
        deltas = [event.delta for event in (*told, *rest) if event.type == "response.output_text.delta"]
        assert "".join(deltas) == " ".join(f"w{n}" for n in range(1, 41))
        assert ended(service, response_id).output_text == "".join(deltas)
        events = events_in(service.http.get(f"/v1/responses/{response_id}", params={"stream": "true"}).text)
        assert_in_order(events)
        assert [event["type"] for event in events[: len(told)]] == [event.type for event in told]
        assert received(admin, agent, text) == 1
    finally:
        service.stop()


def test_what_is_not_kept_is_read_from_lettas_record(admin: LettaAdmin, lab: LettaLab, tmp_path: Path) -> None:
    agent = admin.create_agent("silent agent")
    service = Service(tmp_path, lab.base_url, config="server: {api: {keepAnswersFor: 0}}")
    try:
        response = service.openai.responses.create(model=agent, input="[[text+tool]]")
        time.sleep(0.5)
        again = service.openai.responses.retrieve(response.id)
        assert [item.type for item in again.output] == ["message", "mcp_call", "message"]
        assert again.output_text == response.output_text
    finally:
        service.stop()
