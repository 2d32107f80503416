"""One user message, one delivery: before a real App Server of Letta Code. What was delivered is counted at the model,
and in what the server has stored."""

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from websockets.sync.client import connect

from tests.letta_code_server.conftest import Serve
from tests.letta_code_server.lab import LettaCodeLab
from tests.letta_server.conftest import Service, eventually
from tests.letta_server.proxy import Proxy

pytestmark = pytest.mark.letta_code

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
HELLO = "Hello from the stub model ."


def mark() -> str:
    """Says which message it is."""
    return f"m{uuid.uuid4().hex[:10]}"


def bash(command: str) -> str:
    return f"[[call Bash {json.dumps({'command': command, 'description': 'x'})}]]"


def content(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    if "event-stream" not in answer.headers["content-type"]:
        return str(answer.json()["choices"][0]["message"]["content"])
    events = [json.loads(event[6:]) for event in answer.text.split("\n\n") if event.startswith("data: {")]
    assert not [event for event in events if "error" in event], answer.text
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


def code_of(answer: httpx.Response) -> str:
    """Of an error, as the answer or in the stream."""
    if "event-stream" in answer.headers["content-type"]:
        events = [json.loads(event[6:]) for event in answer.text.split("\n\n") if event.startswith("data: {")]
        [error] = [event["error"] for event in events if "error" in event]
        return str(error["code"])
    return str(answer.json()["error"]["code"])


def stored_with(lab: LettaCodeLab, mark: str) -> int:
    """How many stored messages of users have that mark, in all conversations of all agents."""
    with connect(f"{lab.url}/ws", max_size=None) as socket:

        def ask(kind: str, **fields: Any) -> Any:
            socket.send(json.dumps({"type": kind, "request_id": "asked", **fields}))
            while (answer := json.loads(socket.recv(30))).get("request_id") != "asked":
                pass
            return answer

        count = 0
        for agent in (each["id"] for each in ask("agent_list", query={"limit": 100})["agents"]):
            conversations = ask("conversation_list", query={"agent_id": agent, "limit": 1000})["conversations"]
            for conversation in {"default", *(each["id"] for each in conversations)}:
                query = {"agent_id": agent, "limit": 1000}
                listed = ask("conversation_messages_list", conversation_id=conversation, query=query)
                count += sum(
                    mark in json.dumps(message["content"])
                    for message in listed.get("messages") or ()
                    if message["message_type"] == "user_message"
                )
        return count


def assert_once(lab: LettaCodeLab, mark: str, requests: int = 1) -> None:
    """Stored once, and asked of the model as often as the turn has steps."""
    assert (stored_with(lab, mark), lab.asked_with(mark)) == (1, requests)


def in_background(work: Callable[[], httpx.Response]) -> Callable[[], httpx.Response]:
    """Call it for the result."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    return lambda: future.result(90)


@pytest.mark.parametrize("stream", [False, True])
def test_a_plain_message(lab: LettaCodeLab, service: Service, stream: bool) -> None:
    said = mark()
    assert content(service.post("memo", f"hello {said}", stream)) == HELLO
    assert_once(lab, said)


def test_the_agents_are_listed_and_the_service_is_ready(service: Service) -> None:
    assert {model["id"] for model in service.http.get("/v1/models").json()["data"]} == {"memo", "nadia"}
    ready = service.http.get("/health/ready").json()
    assert ready["ready"] is True
    assert set(ready["backends"]["letta-code"]["can"]) >= {"deduplicate", "records of runs", "approvals", "forks"}


def test_an_agent_that_is_not_there(service: Service) -> None:
    answer = service.post("nobody", "hello")
    assert (answer.status_code, code_of(answer)) == (404, "model_not_found")


def test_a_turn_with_a_tool(lab: LettaCodeLab, service: Service) -> None:
    said = mark()
    answer = service.http.post("/api/v1/chat", json={"agent": "memo", "message": f"{said} {bash('echo tool-output')}"})
    assert answer.json()["response"] == "The tool answered 1 time(s) , all done ."
    assert_once(lab, said, requests=2)


def test_a_conversation_remembers_and_chats_are_apart(lab: LettaCodeLab, service: Service) -> None:
    first, second, other = mark(), mark(), mark()
    for said in (first, second):
        service.post("memo", said, X_Letta_Chat_Key="chat-1")
    service.post("memo", other, X_Letta_Chat_Key="chat-2")
    asked = {said: texts for texts in lab.requests() for said in (second, other) if texts and said in texts[-1]}
    assert any(first in text for text in asked[second])
    assert not any(first in text for text in asked[other])


def test_parallel_conversations_of_one_agent(lab: LettaCodeLab, service: Service) -> None:
    said = [mark() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda each: service.post("memo", f"{each} [[drip 10 0.1]]", X_Letta_Chat_Key=each), said)
        assert [content(answer) for answer in answers] == [" ".join(f"w{n}" for n in range(1, 11))] * 4
    for each in said:
        assert_once(lab, each)


def test_twenty_clients_of_one_agent(lab: LettaCodeLab, service: Service) -> None:
    said = [mark() for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda each: service.post("nadia", each, stream=True), said))
    assert [content(answer) for answer in answers] == [HELLO] * 20
    for each in said:
        assert_once(lab, each)


def test_an_sdk_that_times_out_and_asks_again(lab: LettaCodeLab, service: Service) -> None:
    said = mark()
    impatient = openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.openai.api_key, timeout=1.5, max_retries=4)
    answer = impatient.chat.completions.create(
        model="memo", messages=[{"role": "user", "content": f"{said} [[slow 4]]"}]
    )
    assert answer.choices[0].message.content == HELLO
    assert_once(lab, said)


def test_a_stream_whose_client_hangs_up_is_stopped_and_the_next_message_works(
    lab: LettaCodeLab, service: Service
) -> None:
    said, after = mark(), mark()
    service.hang_up_after(0.7, "memo", f"{said} [[drip 200 0.1]]")
    started = time.monotonic()
    assert content(service.post("memo", after)) == HELLO
    assert time.monotonic() - started < 18
    assert_once(lab, said)
    assert_once(lab, after)


def test_one_socket_that_is_cut_harms_nothing(lab: LettaCodeLab, proxy: Proxy, serve: Serve) -> None:
    service = serve(proxy.url.replace("http", "ws"))
    for _ in range(3):
        said = mark()
        asked = in_background(lambda said=said: service.post("memo", f"{said} [[drip 15 0.1]]", stream=True))  # type: ignore[misc]
        time.sleep(0.8)
        proxy.cut_one()
        assert content(asked()) == " ".join(f"w{n}" for n in range(1, 16))
        assert_once(lab, said)


def test_both_sockets_that_are_cut_are_told_and_the_chat_goes_on(lab: LettaCodeLab, proxy: Proxy, serve: Serve) -> None:
    service = serve(proxy.url.replace("http", "ws"))
    before, said, after = mark(), mark(), mark()
    service.post("memo", before, X_Letta_Chat_Key="cut")
    asked = in_background(lambda: service.post("memo", f"{said} [[drip 30 0.1]]", stream=True, X_Letta_Chat_Key="cut"))
    eventually(lambda: lab.asked_with(said) == 1)
    time.sleep(0.8)
    proxy.cut()
    assert code_of(asked()) == "connection_lost"
    assert content(service.post("memo", after, X_Letta_Chat_Key="cut")) == HELLO
    last = next(texts for texts in reversed(lab.requests()) if after in texts[-1])
    assert [sum(each in text for text in last) for each in (before, said, after)] == [1, 1, 1]


def test_a_default_history_that_is_stuck_says_what_to_do(crashing: LettaCodeLab, serve: Serve) -> None:
    with Proxy(crashing.url) as proxy:
        service = serve(proxy.url.replace("http", "ws"))
        said = mark()
        asked = in_background(lambda: service.post("memo", f"{said} [[drip 60 0.1]]", stream=True))
        eventually(lambda: crashing.asked_with(said) == 1)
        time.sleep(0.8)
        proxy.cut()
        assert code_of(asked()) == "connection_lost"
        stuck = service.post("memo", "hello")
        assert (stuck.status_code, code_of(stuck)) == (409, "conversation_stuck")
        assert stuck.headers["x-should-retry"] == "false"
        crashing.kill_server()
        crashing.start_server()
        eventually(lambda: service.post("memo", "hello").status_code == 200)


@pytest.mark.parametrize(("where", "workers"), [("text", 1), ("tool", 1), ("tool", 3)])
def test_a_server_that_is_killed_delivers_nothing_again(
    crashing: LettaCodeLab, serve: Serve, where: str, workers: int
) -> None:
    service = serve(crashing.url, server="permissions: unrestricted", options=("--workers", str(workers)))
    said, after = mark(), mark()
    counted = crashing.work / f"ran-{said}"
    long = "[[drip 50 0.1]]" if where == "text" else bash(f"echo ran >> {counted}; sleep 8")
    service.post("memo", "hello", X_Letta_Chat_Key="k")
    asked = in_background(lambda: service.post("memo", f"{said} {long}", stream=True, X_Letta_Chat_Key="k"))
    time.sleep(2.5)
    crashing.kill_server()
    time.sleep(0.5)
    crashing.start_server()
    assert code_of(asked()) == "connection_lost"
    assert content(service.post("memo", after, X_Letta_Chat_Key="k")) == HELLO
    assert_once(crashing, said)
    assert_once(crashing, after)
    if where == "tool":
        assert counted.read_text().split() == ["ran"]


def test_a_service_that_is_killed_knows_the_message_of_a_retry(lab: LettaCodeLab, serve: Serve) -> None:
    service = serve(lab.url)
    said, after = mark(), mark()
    service.post("memo", "hello", X_Letta_Chat_Key=said)

    def ask() -> httpx.Response:
        text = f"{said} [[drip 60 0.1]]"
        return service.post("memo", text, stream=True, Idempotency_Key=said, X_Letta_Chat_Key=said)

    _asking(ask)
    eventually(lambda: lab.asked_with(said) == 1)
    time.sleep(0.5)
    service.kill()
    service.start()
    again = ask()
    assert code_of(again) == "connection_lost"
    assert "was delivered" in again.text
    assert content(service.post("memo", after, X_Letta_Chat_Key=said)) == HELLO
    # The copy of the conversation holds it, too.
    assert lab.asked_with(said) == 1


def _asking(ask: Callable[[], httpx.Response]) -> None:
    """Behind the test's back, whatever comes of it."""

    def work() -> None:
        with contextlib.suppress(httpx.HTTPError):
            ask()

    threading.Thread(target=work, daemon=True).start()


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("[[error 401]]", "llm_authentication"),
        ("[[error 429]]", "llm_error"),
        ("[[error 500]]", "llm_error"),
        ("[[midfail 3]]", "llm_error"),
    ],
)
def test_a_model_that_fails_leaves_one_message(lab: LettaCodeLab, service: Service, script: str, code: str) -> None:
    said, after = mark(), mark()
    answer = service.post("memo", f"{said} {script}", X_Letta_Chat_Key=said)
    assert (answer.status_code, code_of(answer), answer.headers["x-should-retry"]) == (502, code, "false")
    assert "stub error" not in answer.text
    assert stored_with(lab, said) == 1
    assert content(service.post("memo", after, X_Letta_Chat_Key=said)) == HELLO
    last = next(texts for texts in reversed(lab.requests()) if after in texts[-1])
    assert sum(said in text for text in last) == 1


def test_a_failing_model_whose_client_has_gone_leaves_one_message(lab: LettaCodeLab, service: Service) -> None:
    said, after = mark(), mark()
    question = {"model": "memo", "messages": [{"role": "user", "content": f"{said} [[slow 3]] [[error 500]]"}]}
    with pytest.raises(httpx.ReadTimeout):
        service.http.post("/v1/chat/completions", json=question, headers={"X-Letta-Chat-Key": said}, timeout=1.5)
    assert content(service.post("memo", after, X_Letta_Chat_Key=said)) == HELLO
    assert stored_with(lab, said) == 1


@pytest.mark.parametrize(("verdict", "ran"), [("/approve", True), ("/deny no", False), ("something else", False)])
def test_approvals(lab: LettaCodeLab, service: Service, verdict: str, ran: bool) -> None:
    said = mark()
    made = lab.work / f"made-{said}"
    asked = service.post("memo", f"{said} {bash(f'touch {made}')}", X_Letta_Chat_Key=said)
    assert asked.status_code == 200
    is_message = verdict == "something else"
    answer = service.post("memo", f"{verdict} {said}" if is_message else verdict, X_Letta_Chat_Key=said)
    assert answer.status_code == 200, answer.text
    assert made.exists() is ran
    # A verdict is no message; anything else is one, after it has denied the call.
    assert stored_with(lab, f"{verdict} {said}") == is_message
    assert content(service.post("memo", "and now?", X_Letta_Chat_Key=said)) == HELLO
    assert stored_with(lab, f"{said} [[call") == 1


def test_images_go_and_links_are_refused(lab: LettaCodeLab, service: Service, serve: Serve) -> None:
    said = mark()
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    assert content(service.post("memo", [{"type": "text", "text": said}, image])) == HELLO
    assert_once(lab, said)
    linking = serve(lab.url, api="imageUrls: any")
    link = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    answer = linking.post("memo", [{"type": "text", "text": "look"}, link])
    assert (answer.status_code, code_of(answer)) == (400, "unsupported_content")


def test_a_service_that_stops_leaves_no_conversation_stuck(lab: LettaCodeLab, serve: Serve) -> None:
    service = serve(lab.url, api="shutdownSeconds: 0")
    said, after = mark(), mark()
    _asking(lambda: service.post("nadia", f"{said} [[drip 100 0.1]]", stream=True))
    eventually(lambda: lab.asked_with(said) == 1)
    time.sleep(0.5)
    service.stop()
    assert content(serve(lab.url).post("nadia", after)) == HELLO
    assert_once(lab, said)


def test_several_workers_share_one_server(lab: LettaCodeLab, serve: Serve) -> None:
    service = serve(lab.url, options=("--workers", "2"))
    said = [mark() for _ in range(12)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda each: service.post("nadia", each, X_Letta_Chat_Key=each[:2]), said))
    assert [content(answer) for answer in answers] == [HELLO] * 12
    for each in said:
        assert_once(lab, each)
