"""The service in front of a real App Server of Letta Code, as users meet it: the README's examples, and responses."""

import json
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.http.responses_client import assert_in_order, events_in
from tests.letta_code_server.conftest import Serve
from tests.letta_code_server.lab import LettaCodeLab
from tests.letta_code_server.test_one_delivery import HELLO, assert_once, bash, mark
from tests.letta_server.conftest import KEY, Service
from tests.readme.real_server import assert_examples_work

pytestmark = pytest.mark.letta_code


def test_the_readmes_examples_work_unchanged_with_letta_code(lab: LettaCodeLab, serve: Serve) -> None:
    with connect(f"{lab.url}/ws", max_size=None) as socket:
        socket.send(json.dumps({"type": "agent_list", "request_id": "asked", "query": {"limit": 100}}))
        while (answer := json.loads(socket.recv(30))).get("request_id") != "asked":
            pass
    agent = next(each["id"] for each in answer["agents"] if each["name"] == "memo")
    agents = f"agents: [{{name: lettabot, id: {agent}}}]"
    service = serve(config=f"{{server: {{mode: letta-code, baseUrl: '{lab.url}'}}, {agents}}}")
    assert_examples_work(service.url, KEY)


def test_responses_whole_and_streamed(lab: LettaCodeLab, service: Service) -> None:
    whole, streamed = mark(), mark()
    response = service.openai.responses.create(model="memo", input=f"hello {whole}")
    assert response.output_text == HELLO
    assert service.openai.responses.retrieve(response.id) == response
    body = {"model": "memo", "input": f"hello {streamed}", "stream": True}
    events = events_in(service.http.post("/v1/responses", json=body).text)
    assert_in_order(events)
    assert_once(lab, whole)
    assert_once(lab, streamed)


def test_a_conversation_with_a_tool_is_listed(lab: LettaCodeLab, serve: Serve) -> None:
    service, said = serve(lab.url, "permissions: unrestricted"), mark()
    conversation = service.openai.conversations.create()
    response = service.openai.responses.create(
        model="nadia", input=f"{bash('echo seen')} {said}", conversation=conversation.id
    )
    assert response.output[0].type == "mcp_call"
    listed = service.openai.conversations.items.list(conversation.id, order="asc")
    assert [item.type for item in listed][:2] == ["message", "mcp_call"]
    assert_once(lab, said, requests=2)


def test_a_stream_in_the_background_goes_on_after_a_kill(lab: LettaCodeLab, serve: Serve) -> None:
    service, said = serve(lab.url), mark()
    told: list[Any] = []
    stream = service.openai.responses.create(
        model="nadia", input=f"[[drip 30 0.1]] {said}", background=True, stream=True
    )
    for event in stream:
        told.append(event)
        if event.type == "response.output_text.delta" and "w8" in event.delta:
            break
    service.kill()
    service.start()
    response_id = told[0].response.id
    rest = list(service.openai.responses.retrieve(response_id, stream=True, starting_after=told[-1].sequence_number))
    numbers = [event.sequence_number for event in (*told, *rest)]
    assert numbers == list(range(len(numbers)))
    assert rest[-1].type in ("response.completed", "response.failed")
    assert_once(lab, said)
