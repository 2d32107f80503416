"""The service in front of a real Letta server. What the agent received is asked of Letta itself."""

import json
from typing import Any

import openai
import pytest

from tests.letta_server.admin import LettaAdmin
from tests.letta_server.conftest import KEY, Service, eventually
from tests.letta_server.lab import LettaLab
from tests.readme.real_server import assert_examples_work

pytestmark = pytest.mark.letta


@pytest.fixture(scope="module")
def agent(admin: LettaAdmin, service: Service) -> str:
    """An agent of many tests: each of them says something of its own."""
    return admin.create_agent("shared agent")


def deltas(service: Service, model: str, text: str) -> list[dict[str, Any]]:
    events = service.post(model, text, stream=True).text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2] if event.startswith("data: ")]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-1] == "stop"
    return [chunk["choices"][0]["delta"] for chunk in chunks]


def received(admin: LettaAdmin, agent: str, text: str) -> int:
    return admin.user_messages(agent).count(text)


def test_all_agents_are_listed_beyond_a_page_and_with_names_used_twice(admin: LettaAdmin, service: Service) -> None:
    ids = [admin.create_agent(f"one of many {n}", tools=False) for n in range(105)]
    twins = [admin.create_agent("twin", tools=False) for _ in range(2)]
    eventually(lambda: service.http.get("/v1/models").text.count(twins[-1]) == 1, 60)
    models = service.http.get("/v1/models").json()["data"]
    names = [model["id"] for model in models]
    assert len(set(names)) == len(names)
    assert [name for name in names if name.startswith("one of many")] == [f"one of many {n}" for n in range(105)]
    assert set(twins) <= set(names)
    assert "twin" not in names
    assert service.http.get(f"/v1/models/{ids[7]}").json()["id"] == "one of many 7"
    assert service.http.get("/v1/models/twin").status_code == 404
    assert service.http.get(f"/v1/models/{twins[0]}").json()["created"] > 1_700_000_000
    for agent_id in (*ids, *twins):
        admin.delete_agent(agent_id)


def test_an_agent_is_found_as_soon_as_it_exists(admin: LettaAdmin, service: Service) -> None:
    service.http.get("/v1/models")
    agent_id = admin.create_agent("brand new")
    assert service.ask("brand new", "hello") == "Hello from the stub model ."
    assert admin.user_messages(agent_id) == ["hello"]


def test_a_whole_answer(admin: LettaAdmin, service: Service, agent: str) -> None:
    assert service.ask("shared agent", "[[say whole answer]]") == "whole answer"
    assert service.ask(agent, "[[say by id]]") == "by id"
    assert received(admin, agent, "[[say whole answer]]") == 1
    assert received(admin, agent, "[[say by id]]") == 1


def test_a_streamed_answer_comes_token_by_token(admin: LettaAdmin, service: Service, agent: str) -> None:
    assert deltas(service, agent, "[[words 20]]") == [
        {"role": "assistant", "content": ""},
        *({"content": f"w{n}" if n == 1 else f" w{n}"} for n in range(1, 21)),
        {},
    ]
    assert received(admin, agent, "[[words 20]]") == 1


def test_the_openai_sdk_streams(admin: LettaAdmin, service: Service, agent: str) -> None:
    text = "[[say streamed by the SDK]]"
    stream = service.openai.chat.completions.create(
        model=agent, messages=[{"role": "user", "content": text}], stream=True
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "streamed by the SDK"
    assert received(admin, agent, text) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_then_text(admin: LettaAdmin, service: Service, agent: str, stream: bool) -> None:
    text = f"[[text+tool]] stream={stream}"
    if stream:
        got = deltas(service, agent, text)
        calls = [delta["tool_calls"][0] for delta in got if "tool_calls" in delta]
        assert calls[0]["function"] == {"name": "list_todos", "arguments": ""}
        assert calls[0]["id"].startswith("call_agent_call_stub_")
        assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"list_name": "work"}
        answer = "".join(delta.get("content", "") for delta in got)
        assert "water the plants" not in str(got)
    else:
        answer = service.ask(agent, text)
    assert answer == "Let me look at your list .\n\nThe tool answered 1 time(s) , all done ."
    assert received(admin, agent, text) == 1


def test_reasoning_is_not_shown(admin: LettaAdmin, service: Service, agent: str) -> None:
    got = deltas(service, agent, "[[reason]]")
    assert "".join(delta.get("content", "") for delta in got) == "Hello from the stub model ."
    assert "greet" not in str(got)
    assert received(admin, agent, "[[reason]]") == 1


def test_parallel_tools(admin: LettaAdmin, service: Service) -> None:
    agent = admin.create_agent("parallel", parallel_tool_calls=True)
    got = deltas(service, "parallel", "[[tools2]]")
    calls = [delta["tool_calls"][0] for delta in got if "tool_calls" in delta]
    assert {call["index"] for call in calls} == {0, 1}
    arguments = ["".join(c["function"]["arguments"] for c in calls if c["index"] == index) for index in (0, 1)]
    assert [json.loads(each)["list_name"] for each in arguments] == ["work", "home"]
    assert "".join(delta.get("content", "") for delta in got).startswith("The tool answered 2")
    assert admin.user_messages(agent) == ["[[tools2]]"]


def test_an_agent_that_says_nothing(service: Service, agent: str) -> None:
    assert service.ask(agent, "[[empty]]") == ""


@pytest.mark.parametrize(
    ("text", "status", "code", "retry", "kept"),
    [
        ("[[error 500]]", 502, "llm_error", "false", 0),
        ("[[error 429]]", 429, "llm_rate_limit", "true", 0),
        ("[[error 401]]", 502, "llm_authentication", "false", 0),
        ("[[midfail 3]]", 502, "llm_error", "false", 0),
        ("[[tool-then-error 500]]", 502, "llm_error", "false", 1),
        ("[[tool-then-error 429]]", 502, "llm_error", "false", 1),
    ],
)
def test_failures_of_the_language_model(
    admin: LettaAdmin, service: Service, text: str, status: int, code: str, retry: str, kept: int
) -> None:
    agent = admin.create_agent(f"fails {text.strip(chr(91) + chr(93))}")
    answer = service.post(agent, text)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers["x-should-retry"] == retry
    assert ("retry-after" in answer.headers) == (retry == "true")
    assert "stub error" not in answer.text
    assert len(admin.user_messages(agent)) == kept
    stream = service.post(agent, text, stream=True)
    assert stream.status_code == 200
    *_, error, done, _ = stream.text.split("\n\n")
    assert json.loads(error.removeprefix("data: "))["error"]["code"] == code
    assert done == "data: [DONE]"
    assert len(admin.user_messages(agent)) == 2 * kept


def test_the_sdk_does_not_deliver_a_failed_message_again(admin: LettaAdmin, service: Service) -> None:
    agent = admin.create_agent("fails once")
    with pytest.raises(openai.InternalServerError):
        service.ask(agent, "[[tool-then-error 500]]")
    assert admin.user_messages(agent) == ["[[tool-then-error 500]]"]


def test_an_unknown_agent(service: Service) -> None:
    for model in ("nobody", "agent-00000000-0000-4000-8000-000000000000"):
        with pytest.raises(openai.NotFoundError) as raised:
            service.ask(model, "hello")
        assert raised.value.code == "model_not_found"


def test_an_agent_deleted_while_it_is_on_the_roster(admin: LettaAdmin, service: Service) -> None:
    agent = admin.create_agent("short-lived")
    assert service.ask("short-lived", "hello")
    admin.delete_agent(agent)
    for stream in (False, True):
        answer = service.post("short-lived", "hello", stream)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_two_agents_answer_at_once(admin: LettaAdmin, service: Service) -> None:
    agents = [admin.create_agent(f"parallel {n}") for n in range(2)]
    body = {"model": agents[0], "stream": True, "messages": [{"role": "user", "content": "[[drip 6 0.5]]"}]}
    with service.http.stream("POST", "/v1/chat/completions", json=body) as first:
        pieces = first.iter_text()
        next(pieces)
        assert service.ask(agents[1], "[[say quick]]") == "quick"
        assert "w6" in "".join(pieces)


def test_odd_texts_arrive_as_they_are(admin: LettaAdmin, service: Service) -> None:
    agent = admin.create_agent("odd texts")
    texts = ['"quoted" \\ back', "ünï \N{PARTY POPPER} \u2028 line", "  leading blanks", "x" * 100_000, '{"json": [1]}']
    for text in texts:
        service.ask(agent, text)
    assert admin.user_messages(agent) == texts


def test_the_readme_s_examples_work_unchanged(admin: LettaAdmin, service: Service) -> None:
    agent = admin.create_agent("lettabot")
    assert_examples_work(service.url, KEY)
    assert len(admin.user_messages(agent)) >= 4


def test_letta_stopped_and_started_again_while_the_service_runs(
    admin: LettaAdmin, service: Service, lab: LettaLab
) -> None:
    agent = admin.create_agent("survivor")
    assert service.ask("survivor", "before") == "Hello from the stub model ."
    lab.stop_letta()
    for stream in (False, True):
        answer = service.post("survivor", "while it is down", stream)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "backend_unavailable")
        assert answer.headers["x-should-retry"] == "true"
        assert int(answer.headers["retry-after"]) > 0
    eventually(lambda: service.http.get("/health/ready").status_code == 503)
    assert service.http.get("/health").text == "ok"
    lab.start_letta()
    assert service.ask("survivor", "after") == "Hello from the stub model ."
    eventually(lambda: service.http.get("/health/ready").status_code == 200)
    assert admin.user_messages(agent) == ["before", "after"]


def test_nothing_of_all_this_is_in_the_log(service: Service) -> None:
    log = service.log.read_text()
    assert '"path": "/v1/chat/completions"' in log
    for secret in ("letta-test-key", "[[", "Hello from", "never mind", "stub error"):
        assert secret not in log


def test_a_wrong_letta_password(lab: LettaLab, tmp_path_factory: pytest.TempPathFactory) -> None:
    lab.stop_letta()
    lab.api_key = "lab-password"
    lab.start_letta()
    agent = LettaAdmin(lab.base_url, "lab-password").create_agent("guarded")
    wrong = Service(tmp_path_factory.mktemp("wrong"), lab.base_url, "wrong-password")
    right = Service(tmp_path_factory.mktemp("right"), lab.base_url, "lab-password")
    try:
        answer = wrong.post(agent, "hello")
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_authentication")
        assert answer.headers["x-should-retry"] == "false"
        assert wrong.http.get("/health/ready").json()["code"] == "upstream_authentication"
        assert right.http.get("/health/ready").status_code == 200
        assert right.ask(agent, "[[say guarded]]") == "guarded"
        assert "wrong-password" not in wrong.log.read_text()
    finally:
        wrong.stop()
        right.stop()
