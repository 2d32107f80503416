"""The log: one line for each request, and never a message or a key, whatever goes wrong."""

import json
import socket
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import KEY, client_of, question
from tests.cli.fake_letta import FAILING, SLOW, FakeLetta
from tests.cli.processes import Place, Running, get, wait_until

SECRET = "the-cat-is-called-schroedinger"
LETTA_KEY = "sk-let-of-this-test"
WRONG_KEY = "sk-another-service"


@pytest.fixture(scope="module")
def letta() -> Iterator[FakeLetta]:
    with FakeLetta(password=LETTA_KEY) as letta:
        yield letta


def ask_for_everything(server: Running, letta: FakeLetta) -> None:
    """Good chats, bad requests, wrong keys, failing turns, a hang-up, and bytes that are not HTTP."""
    chat = "/v1/chat/completions"
    with client_of(server) as client:
        assert client.post(chat, json=question(SECRET)).status_code == 200
        assert SECRET in client.post(f"{chat}?note={SECRET}", json=question(SECRET, stream=True)).text
        assert "delivered" in client.post(chat, json=question(FAILING, stream=True)).text
        assert client.post(chat, json=question(FAILING)).status_code == 502
        assert client.post(chat, json={"messages": SECRET}).status_code == 400
        assert client.post(chat, json={"messages": [{"role": SECRET}]}).status_code == 400
        assert client.post(chat, content=f'{{"messages": "{SECRET}').status_code == 415
        broken = {"content": f'{{"messages": "{SECRET}', "headers": {"Content-Type": "application/json"}}
        assert client.post(chat, **broken).status_code == 400  # type: ignore[arg-type]
        assert client.post(chat, json=question("hi", model=SECRET)).status_code == 404
        assert client.get(f"/v1/models?api_key={WRONG_KEY}").status_code == 200
        assert client.get(f"/v1/nothing?api_key={WRONG_KEY}").status_code == 404
    with client_of(server, WRONG_KEY) as stranger:
        assert stranger.post(chat, json=question(SECRET)).status_code == 401
        assert stranger.get("/v1/models", headers={"X-Api-Key": WRONG_KEY}).status_code == 401
    with client_of(server) as client, client.stream("POST", chat, json=question(SLOW, stream=True)):
        wait_until(lambda: SLOW in letta.heard, "the slow turn")
    address = urlsplit(server.url)
    with socket.create_connection((str(address.hostname), address.port or 0)) as stranger_still:
        stranger_still.sendall(f"{SECRET} {WRONG_KEY}\r\n\r\n".encode())
        assert stranger_still.recv(100).startswith(b"HTTP/1.1 400")


def assert_discreet(server: Running) -> None:
    printed = server.out + server.err
    for secret in (SECRET, FAILING, SLOW, KEY, LETTA_KEY, WRONG_KEY):
        assert secret not in printed


@pytest.fixture(scope="module")
def asked(shared_place: Place, letta: FakeLetta) -> Running:
    """A server with a JSON log that is to tell everything it can, and was asked for everything."""
    server = shared_place.serve(
        LETTA_BASE_URL=letta.url,
        LETTA_API_KEY=LETTA_KEY,
        LETTABOT_API_KEY=KEY,
        LOG_FORMAT="json",
        LOG_LEVEL="debug",
        LETTA_LOG="debug",
    )
    ask_for_everything(server, letta)
    server.stop()
    return server


def test_neither_messages_nor_keys_nor_queries_are_logged(asked: Running) -> None:
    assert_discreet(asked)


def test_what_clients_do_wrong_leaves_no_traceback(asked: Running) -> None:
    assert "Traceback" not in asked.err


def test_the_json_log_has_one_object_a_line(asked: Running) -> None:
    for entry in asked.log:
        assert {"event", "level", "timestamp"} <= entry.keys()


def test_each_request_has_one_line(asked: Running) -> None:
    requests = [entry for entry in asked.log if entry["event"] == "request"]
    assert len({entry["request_id"] for entry in requests}) == len(requests)
    # The first is how the test found out that the server answers.
    assert [entry["status"] for entry in requests[1:]] == [
        *(200, 200, 200, 502),
        *(400, 400, 415, 400, 404),
        *(200, 404),
        *(401, 401),
        200,
    ]


def test_the_line_of_a_request_says_what_it_was(asked: Running) -> None:
    [_, whole, stream, *_] = [entry for entry in asked.log if entry["event"] == "request"]
    assert isinstance(whole.pop("ms"), float)
    assert whole.pop("request_id").startswith("req_")
    del whole["timestamp"]
    assert whole == {
        "event": "request",
        "level": "info",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "agent": "anna",
        "stream": False,
    }
    assert (stream["agent"], stream["stream"]) == ("anna", True)


def test_a_failed_turn_is_found_by_the_id_of_its_request(asked: Running) -> None:
    failures = [entry for entry in asked.log if entry["event"] == "turn failed" and entry["code"] == "llm_error"]
    requests = {entry["request_id"] for entry in asked.log if entry["event"] == "request"}
    assert len(failures) == 2
    for failure in failures:
        assert failure["request_id"] in requests
        assert failure["delivery"] == "delivered"
        assert failure["cause"]


def test_a_hang_up_is_logged_as_one(asked: Running) -> None:
    *_, hang_up = [entry for entry in asked.log if entry["event"] == "request"]
    assert hang_up["whole"] is False


def test_a_path_cannot_write_to_the_terminal(place: Place) -> None:
    server = place.serve(LETTABOT_API_KEY=KEY)
    for path in ("%1b%5b31mred", "%c2%9b31mred", "%0ared"):
        get(f"{server.url}/{path}")
    server.wait_for("(?s)red.*red.*red")
    assert not set("\x1b\x9b") & set(server.err)
    assert "\nred" not in server.err


def test_what_strangers_send_is_cut(place: Place) -> None:
    server = place.serve(LETTABOT_API_KEY=KEY, LOG_FORMAT="json")
    get(f"{server.url}/{'x' * 60_000}?{SECRET}")
    get(f"{server.url}/{'%C3%A9' * 10_000}")
    wait_until(lambda: server.err.count("xxx") and server.err.count("\\u00e9"), "both lines")
    assert len(server.err) < 5_000
    assert SECRET not in server.err


WITH_BUGS = """
import adapters.embedded.gateway, entrypoints.http.openai.chunks, entrypoints.http.openai.completion
from entrypoints.cli import main

def broken(*arguments):
    copied_secret = str(arguments)
    raise RuntimeError("a bug")

def parse(text, parse=adapters.embedded.gateway.parse):
    return broken(text) if "turn" in text else parse(text)

adapters.embedded.gateway.parse = parse
entrypoints.http.openai.completion.whole_text = broken
entrypoints.http.openai.chunks.ChunkEncoder.encode = broken
main()
"""


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_our_own_bugs_are_logged_without_the_values_of_variables(place: Place, log_format: str) -> None:
    server = place.serve(command=(sys.executable, "-c", WITH_BUGS), LOG_FORMAT=log_format, LETTABOT_API_KEY=KEY)
    with client_of(server) as client:
        for body in (question(f"turn {SECRET}"), question(SECRET), question(SECRET, stream=True)):
            answer = client.post("/v1/chat/completions", json=body, headers={"X-Request-Id": "of-this-test"})
            assert "internal_error" in answer.text
            assert "a bug" not in answer.text
    server.stop()
    assert server.err.count("RuntimeError: a bug") == 3
    assert server.err.count("Traceback") == 3
    assert "of-this-test" in server.err
    assert_discreet(server)
    if log_format == "json":
        tracebacks = [entry for entry in server.log if "exception" in entry]
        assert [entry["request_id"] for entry in tracebacks] == ["of-this-test"] * 3
        assert json.dumps(tracebacks).count("copied_secret = str(arguments)") == 0
