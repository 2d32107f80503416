"""One user message, one delivery: with a real Letta server. What was delivered is counted on its side."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGKILL

import httpx
import openai
import pytest

from tests.letta_server.admin import LettaAdmin
from tests.letta_server.conftest import KEY, Service, eventually
from tests.letta_server.lab import LettaLab
from tests.letta_server.proxy import Proxy

pytestmark = pytest.mark.letta

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
MANY = "{server: {api: {maxWaitingTurns: 30, recoveryTimeout: 30}}}"
DELETE = '[[call delete_todo {"number": 2}]]'


@pytest.fixture(scope="module")
def proxy(lab: LettaLab) -> Iterator[Proxy]:
    with Proxy(lab.base_url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def patient(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose way to Letta can be cut."""
    service = Service(tmp_path_factory.mktemp("patient"), proxy.url, config=MANY)
    yield service
    service.stop()


def content(answer: httpx.Response) -> str:
    if "event-stream" not in answer.headers["content-type"]:
        return str(answer.json()["choices"][0]["message"]["content"])
    events = [json.loads(event[6:]) for event in answer.text.split("\n\n") if event.startswith("data: {")]
    assert not [event for event in events if "error" in event], answer.text
    return "".join(choice["delta"].get("content", "") for event in events for choice in event["choices"])


def assert_remembers(lab: LettaLab, texts: list[str]) -> None:
    """The last request to the language model has them all."""
    last = lab.stub_log.read_text().splitlines()[-1]
    assert [text for text in texts if text not in last] == [], "the agent's context lacks messages"


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def in_background(work: Callable[[], httpx.Response]) -> Callable[[], httpx.Response]:
    """Starts it; call what comes back to wait for the answer."""
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()

    def wait() -> httpx.Response:
        thread.join()
        return answers[0]

    return wait


def test_twenty_clients_at_once_and_the_agent_forgets_none(admin: LettaAdmin, patient: Service, lab: LettaLab) -> None:
    agent = admin.create_agent("popular")
    texts = [f"[[say answer {n}]]" for n in range(20)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda text: patient.post(agent, text, stream="1" in text), texts))
    assert [content(answer) for answer in answers] == [f"answer {n}" for n in range(20)]
    assert sorted(admin.user_messages(agent)) == sorted(texts)
    assert patient.ask(agent, "[[say now]]") == "now"
    assert_remembers(lab, texts)


def test_beyond_the_bound_nothing_is_delivered(admin: LettaAdmin, service: Service) -> None:
    agent = admin.create_agent("overrun")
    with ThreadPoolExecutor(14) as pool:
        answers = list(pool.map(lambda n: service.post(agent, f"[[slow 1]] {n}"), range(14)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {code_of(answer) for answer in refused} == {(429, "turn_queue_full")}
    assert all(answer.headers["x-should-retry"] == "true" and answer.headers["retry-after"] for answer in refused)
    assert len(refused) == 5
    assert len(admin.user_messages(agent)) == 9


def test_an_impatient_sdk_gets_its_answer_and_the_agent_one_message(admin: LettaAdmin, service: Service) -> None:
    agent = admin.create_agent("slow")
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=KEY, timeout=2, max_retries=4) as client:
        answer = client.chat.completions.create(
            model=agent, messages=[{"role": "user", "content": "[[slow 6]] [[say at last]]"}]
        )
    assert answer.choices[0].message.content == "at last"
    assert len(admin.user_messages(agent)) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_an_idempotency_key(admin: LettaAdmin, service: Service, stream: bool) -> None:
    agent = admin.create_agent(f"promised {stream}")
    first, second = (
        in_background(lambda: service.post(agent, "[[drip 4 0.4]]", stream, Idempotency_Key=f"key {agent}"[4:]))
        for _ in range(2)
    )
    assert content(first()) == content(second()) == "w1 w2 w3 w4"
    third = service.post(agent, "[[drip 4 0.4]]", stream, Idempotency_Key=f"key {agent}"[4:])
    assert content(third) == "w1 w2 w3 w4"
    assert third.headers["idempotency-replayed"] == "true"
    assert admin.user_messages(agent) == ["[[drip 4 0.4]]"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("text", "cut_after", "says"),
    [
        ("[[drip 8 0.5]]", 2.5, " ".join(f"w{n}" for n in range(1, 9))),
        ("[[text+tool]]", 2.0, "Let me look at your list .\n\nThe tool answered 1 time(s) , all done ."),
        (DELETE, 0.1, None),
    ],
    ids=["text", "tool", "approval"],
)
def test_a_connection_that_breaks_in_mid_answer_loses_nothing(
    admin: LettaAdmin, patient: Service, proxy: Proxy, stream: bool, text: str, cut_after: float, says: str | None
) -> None:
    agent = admin.create_agent(f"cut off {stream} {len(text)}")
    patient.post(agent, "[[say hello]]")
    answer = in_background(lambda: patient.post(agent, text, stream))
    eventually(lambda: len(admin.runs(agent)) == 2)
    time.sleep(cut_after)
    proxy.cut()
    said = content(answer())
    assert said == says if says is not None else "/approve" in said
    assert admin.user_messages(agent) == ["[[say hello]]", text]


def test_a_stopped_stream_stops_the_agent_and_the_next_message_is_taken(admin: LettaAdmin, service: Service) -> None:
    agent = admin.create_agent("stopped")
    service.hang_up_after(1.5, agent, "[[drip 40 0.5]]")
    eventually(lambda: admin.runs(agent) == ["cancelled"], 15)
    started = time.monotonic()
    assert service.ask(agent, "[[say next]]") == "next"
    assert time.monotonic() - started < 20, "the lock of the cancelled run was waited for"
    assert admin.user_messages(agent) == ["[[say next]]"]


def test_a_stopped_stream_in_a_chat(admin: LettaAdmin, service: Service) -> None:
    agent = admin.create_agent("stopped in a chat")
    body = {"model": agent, "stream": True, "messages": [{"role": "user", "content": "[[drip 40 0.5]]"}]}
    headers = {"X-Letta-Chat-Key": "k"}
    with service.http.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
        next(answer.iter_text())
        time.sleep(1)
    eventually(lambda: admin.runs(agent) == ["cancelled"], 15)
    assert content(service.post(agent, "[[say next]]", X_Letta_Chat_Key="k")) == "next"
    assert admin.user_messages(agent) == ["[[say next]]"]


def test_a_stopped_message_that_left_no_trace_is_delivered_when_it_is_asked_again(
    admin: LettaAdmin, service: Service
) -> None:
    agent = admin.create_agent("asked again")
    text = "[[drip 8 0.5]]"
    service.hang_up_after(1.0, agent, text)
    eventually(lambda: admin.runs(agent) == ["cancelled"], 15)
    assert content(service.post(agent, text, stream=True)) == " ".join(f"w{n}" for n in range(1, 9))
    assert admin.user_messages(agent) == [text]


def test_a_stopped_message_that_the_agent_remembers_is_not_delivered_again(admin: LettaAdmin, service: Service) -> None:
    agent = admin.create_agent("remembers")
    text = "[[text+tool]] [[slow 5]]"
    service.hang_up_after(5.5, agent, text)
    eventually(lambda: admin.runs(agent) == ["cancelled"], 15)
    eventually(lambda: admin.user_messages(agent) == [text], 15)
    answer = service.post(agent, text, stream=True)
    assert content(answer) == "Let me look at your list .\n\n(This answer was interrupted here.)"
    assert admin.user_messages(agent) == [text]


def test_a_plain_request_that_hangs_up_lets_the_agent_finish(admin: LettaAdmin, service: Service) -> None:
    agent = admin.create_agent("finishes")
    text = "[[slow 3]] [[say done]]"
    with pytest.raises(httpx.TimeoutException):
        httpx.post(
            f"{service.url}/v1/chat/completions",
            json={"model": agent, "messages": [{"role": "user", "content": text}]},
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=1,
        )
    eventually(lambda: admin.runs(agent) == ["completed"], 15)
    assert admin.user_messages(agent) == [text]


def test_a_turn_that_takes_too_long(admin: LettaAdmin, lab: LettaLab, tmp_path_factory: pytest.TempPathFactory) -> None:
    agent = admin.create_agent("too slow")
    config = "{server: {api: {turnTimeout: 2}}}"
    service = Service(tmp_path_factory.mktemp("hasty"), lab.base_url, config=config)
    try:
        answer = service.post(agent, "[[drip 40 0.5]]")
        assert code_of(answer) == (504, "turn_timeout")
        assert "Nothing was delivered." in answer.json()["error"]["message"]
        assert admin.runs(agent) == ["cancelled"]
        assert admin.user_messages(agent) == []
    finally:
        service.stop()


def test_an_agent_that_talks_to_somebody_else_is_waited_for(admin: LettaAdmin, service: Service) -> None:
    agent = admin.create_agent("in two minds")
    elsewhere = threading.Thread(target=admin.say, args=(agent, "[[slow 4]] from elsewhere"))
    elsewhere.start()
    eventually(lambda: len(admin.runs(agent)) == 1)
    assert service.ask(agent, "[[say from here]]") == "from here"
    elsewhere.join()
    assert admin.user_messages(agent) == ["[[slow 4]] from elsewhere", "[[say from here]]"]


def test_two_services_before_one_letta_take_turns(
    admin: LettaAdmin, service: Service, patient: Service, lab: LettaLab
) -> None:
    agent = admin.create_agent("shared by two")
    texts = [f"[[say answer {n}]]" for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit((service, patient)[n % 2].ask, agent, text) for n, text in enumerate(texts)]
    assert [each.result() for each in asked] == [f"answer {n}" for n in range(6)]
    assert sorted(admin.user_messages(agent)) == texts
    service.ask(agent, "[[say now]]")
    assert_remembers(lab, texts)


def test_each_chat_has_a_history_of_its_own(admin: LettaAdmin, service: Service, lab: LettaLab) -> None:
    agent = admin.create_agent("chatty")
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: service.post(agent, f"hello {n}", X_Letta_Chat_Key=f"chat {n % 2}"), range(6)))
    assert len(admin.conversations(agent)) == 2
    service.post(agent, "[[say of chat 0]]", X_OpenWebUI_Chat_Id="chat 0")
    last = lab.stub_log.read_text().splitlines()[-1]
    assert [f"hello {n}" in last for n in range(6)] == [True, False] * 3
    service.post(agent, "[[say of no chat]]")
    assert "hello" not in lab.stub_log.read_text().splitlines()[-1].replace("hello_", "")
    assert len(admin.user_messages(agent)) == 8
    for conversation in admin.conversations(agent):
        admin.delete_conversation(conversation)
    assert content(service.post(agent, "[[say anew]]", X_Letta_Chat_Key="chat 0")) == "anew"
    assert content(service.post(agent, "[[say still]]", X_Letta_Chat_Key="chat 0")) == "still"
    assert len(admin.conversations(agent)) == 1


@pytest.mark.parametrize("chat", [None, "a chat"])
def test_a_tool_that_needs_approval(admin: LettaAdmin, service: Service, lab: LettaLab, chat: str | None) -> None:
    agent = admin.create_agent(f"careful {chat}")
    headers = {"X_Letta_Chat_Key": chat} if chat else {}

    def say(text: str, stream: bool = False) -> str:
        return content(service.post(agent, text, stream, **headers))

    for stream in (False, True):
        asked = say(f"{DELETE} {stream}", stream)
        for part in ("delete_todo", '{"number": 2}', "/approve", "/deny"):
            assert part in asked
    # The second message has denied the first call, and made another one.
    assert "The tool answered" in say("/approve")
    assert say(f"{DELETE} again")
    say("/deny not today")
    assert "not today" in lab.stub_log.read_text().splitlines()[-1]
    assert say(f"{DELETE} once more")
    assert say("[[say never mind]]") == "never mind"
    assert admin.user_messages(agent) == [
        f"{DELETE} False",
        f"{DELETE} True",
        f"{DELETE} again",
        f"{DELETE} once more",
        "[[say never mind]]",
    ]
    deleted = [
        m for m in admin.messages(agent) if m["message_type"] == "tool_return_message" and m["status"] == "success"
    ]
    assert len(deleted) == 1


def test_an_approval_that_waits_from_elsewhere(admin: LettaAdmin, service: Service) -> None:
    agent = admin.create_agent("asked elsewhere")
    admin.say(agent, DELETE)
    assert service.ask(agent, "[[say go on]]") == "go on"
    assert admin.user_messages(agent) == [DELETE, "[[say go on]]"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_image_arrives_at_the_language_model(
    admin: LettaAdmin, service: Service, lab: LettaLab, stream: bool
) -> None:
    agent = admin.create_agent(f"seeing {stream}")
    url = f"data:image/png;base64,{PIXEL}"
    parts = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    assert base64.b64decode(PIXEL)
    assert content(service.post(agent, parts, stream)) == "Hello from the stub model ."
    assert PIXEL in lab.stub_log.read_text().splitlines()[-1]
    assert [text.strip() for text in admin.user_messages(agent)] == ["what is this?"]


def test_reasoning_and_usage_for_those_who_want_them(
    admin: LettaAdmin, lab: LettaLab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    agent = admin.create_agent("open")
    config = "{server: {api: {reasoning: reasoning_content, usage: report}}}"
    service = Service(tmp_path_factory.mktemp("open"), lab.base_url, config=config)
    try:
        answer = service.post(agent, "[[reason]]").json()
        assert answer["choices"][0]["message"]["reasoning_content"] == "I should greet the user ."
        assert answer["usage"]["total_tokens"] > 300
    finally:
        service.stop()


@pytest.mark.parametrize("stream", [False, True])
def test_letta_restarted_in_mid_turn(admin: LettaAdmin, patient: Service, lab: LettaLab, stream: bool) -> None:
    agent = admin.create_agent(f"cut down {stream}")
    answer = in_background(lambda: patient.post(agent, "[[drip 40 0.5]]", stream))
    eventually(lambda: len(admin.runs(agent)) == 1)
    time.sleep(2)
    lab.stop_letta(SIGKILL)
    lab.start_letta()
    told = answer()
    assert "connection_lost" in told.text
    assert admin.user_messages(agent) == []
    # Its lock would be held for five minutes.
    started = time.monotonic()
    assert patient.ask(agent, "[[say next]]") == "next"
    assert time.monotonic() - started < 30
    assert admin.user_messages(agent) == ["[[say next]]"]


@pytest.mark.parametrize("after", [0.3, 1.5])
def test_lettabot_killed_in_mid_turn(admin: LettaAdmin, lab: LettaLab, tmp_path: Path, after: float) -> None:
    assert_survives_a_kill(admin, lab, tmp_path, after)


def assert_survives_a_kill(admin: LettaAdmin, lab: LettaLab, directory: Path, after: float) -> None:
    agent = admin.create_agent(f"survives {after}".replace(".", " "))
    service = Service(directory, lab.base_url)
    text, key = "[[drip 8 0.4]]", f"kill-{after}"
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(service.post, agent, text, Idempotency_Key=key)
        eventually(lambda: len(admin.runs(agent)) == 1)
        time.sleep(after)
        service.kill()
        assert isinstance(asked.exception(), httpx.HTTPError)
    service.start()
    for _ in range(2):
        told = service.post(agent, text, Idempotency_Key=key)
        assert content(told) == " ".join(f"w{n}" for n in range(1, 9))
        assert told.headers["idempotency-replayed"] == "true"
    assert admin.user_messages(agent) == [text]
    service.stop()


def test_without_redis_the_queue_still_holds(lab_without_redis: LettaLab, tmp_path: Path) -> None:
    admin = LettaAdmin(lab_without_redis.base_url)
    agent = admin.create_agent("unlocked")
    service = Service(tmp_path, lab_without_redis.base_url)
    texts = [f"[[say answer {n}]]" for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda text: service.ask(agent, text), texts)) == [f"answer {n}" for n in range(6)]
    assert sorted(admin.user_messages(agent)) == texts
    service.hang_up_after(1.5, agent, "[[drip 40 0.5]]")
    eventually(lambda: admin.runs(agent)[0] == "cancelled", 15)
    assert service.ask(agent, "[[say now]]") == "now"
    assert_remembers(lab_without_redis, texts)
    service.stop()


def test_without_redis_lettabot_killed_in_mid_turn(lab_without_redis: LettaLab, tmp_path: Path) -> None:
    assert_survives_a_kill(LettaAdmin(lab_without_redis.base_url), lab_without_redis, tmp_path, 1.0)
