"""Letta Code's own OpenAI API as a backend of mode `openai`: a real server that is not ours."""

import pytest

from tests.letta_code_server.conftest import Serve
from tests.letta_code_server.lab import LettaCodeLab
from tests.letta_code_server.test_one_delivery import HELLO, content, mark
from tests.letta_server.conftest import Service

pytestmark = pytest.mark.letta_code


@pytest.fixture
def service(lab: LettaCodeLab, serve: Serve) -> Service:
    url = lab.url.replace("ws:", "http:")
    config = f"{{mode: openai, baseUrl: '{url}', history: upstream, chatHeader: X-Letta-Chat-Key, prefix: api/}}"
    return serve(config=f"{{backends: {{api: {config}, code: {{mode: letta-code, baseUrl: '{lab.url}'}}}}}}")


@pytest.mark.parametrize("stream", [False, True])
def test_a_message_is_delivered_once(lab: LettaCodeLab, service: Service, stream: bool) -> None:
    said = mark()
    assert content(service.post("api/memo", said, stream, X_Letta_Chat_Key=said)) == HELLO
    assert lab.asked_with(said) == 1


def test_a_chat_remembers_and_others_do_not_know_of_it(lab: LettaCodeLab, service: Service) -> None:
    first, second, other = mark(), mark(), mark()
    for said in (first, second):
        service.post("api/memo", said, X_Letta_Chat_Key="one")
    service.post("api/memo", other, X_Letta_Chat_Key="two")
    asked = {said: texts for texts in lab.requests() for said in (second, other) if texts and said in texts[-1]}
    assert any(first in text for text in asked[second])
    assert not any(first in text for text in asked[other])


def test_both_ways_to_the_same_server_are_two_backends(service: Service) -> None:
    assert [model["id"] for model in service.http.get("/v1/models").json()["data"]].count("memo") == 1
    assert content(service.post("memo", "hello")) == HELLO
    ready = service.http.get("/health/ready").json()["backends"]
    assert ready["api"]["can"] == ["stop runs", "conversations"]
    assert ready["code"]["ready"] is True
