"""Ctrl-C and SIGTERM: nothing new is accepted, answers under way may end, and the exit code is 0."""

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIG_IGN, SIGHUP, SIGINT, SIGTERM, Signals, signal
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import KEY, client_of, question
from tests.cli.fake_letta import ANNA, BERT, SLOW, FakeLetta
from tests.cli.processes import Place, Running, get, wait_until


@pytest.fixture
def letta() -> Iterator[FakeLetta]:
    # Two agents, because one would do one turn after the other.
    with FakeLetta(((ANNA, "anna"), (BERT, "bert"))) as letta:
        yield letta


def serve(place: Place, letta: FakeLetta, shutdown_seconds: float) -> Running:
    place.write("lettabot.yaml", f"server: {{baseUrl: '{letta.url}', api: {{shutdownSeconds: {shutdown_seconds}}}}}")
    return place.serve(LETTABOT_API_KEY=KEY)


class Asking:
    """A client that has asked for something slow, and reads on in a thread; `received` is what it has so far."""

    def __init__(self, server: Running, stream: bool = True) -> None:
        self.received = ""
        self.status = 0
        self._server, self._stream = server, stream
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def finish(self) -> str:
        self._thread.join(30)
        return self.received

    def _ask(self) -> None:
        body = question(SLOW, stream=self._stream, model="anna" if self._stream else "bert")
        with client_of(self._server) as client, client.stream("POST", "/v1/chat/completions", json=body) as answer:
            self.status = answer.status_code
            for text in answer.iter_text():
                self.received += text


def refuses_connections(server: Running) -> bool:
    address = urlsplit(server.url)
    try:
        socket.create_connection((str(address.hostname), address.port or 0)).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


def test_an_idle_server_stops_in_order_however_it_is_asked(place: Place) -> None:
    ways = [(SIGTERM,), (SIGINT,), (SIGHUP,), (SIGTERM, SIGINT, SIGHUP, SIGTERM)]
    servers = [place.start(["server", "--port", "0"], {"LETTABOT_API_KEY": KEY}) for _ in ways]
    for server, signals in zip(servers, ways, strict=True):
        get(f"{server.url}/health")
        assert server.stop(*signals) == 0
        assert server.err.splitlines()[-1].endswith("stopped")
        assert "Traceback" not in server.err
        assert "Aborted" not in server.err


def heeds_signals(server: Running) -> bool:
    """Whether its first line has run; before that there is nothing but Python."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (SIGHUP - 1) & 1 and caught >> (SIGTERM - 1) & 1)


@pytest.mark.parametrize("arguments", [(), ("--workers", "2")])
def test_in_its_first_moments_it_stops_in_order_too(place: Place, arguments: tuple[str, ...]) -> None:
    def start_and_stop(sign: Signals, after: float) -> Running:
        server = place.start(["server", "--port", "0", *arguments], {"LETTABOT_API_KEY": KEY})
        wait_until(lambda: heeds_signals(server), "its first line")
        time.sleep(after)
        server.process.send_signal(sign)
        return server

    for sign in (SIGTERM, SIGINT, SIGHUP):
        servers = [start_and_stop(sign, random.uniform(0, 0.6)) for _ in range(3)]
        assert [server.process.wait(30) for server in servers] == [0, 0, 0]
        for server in servers:
            assert "Traceback" not in server.err


def test_a_hang_up_of_the_terminal_is_ignored_under_nohup(place: Place) -> None:
    server = place.start(
        ["server", "--port", "0"], {"LETTABOT_API_KEY": KEY}, preexec=lambda: void(signal(SIGHUP, SIG_IGN))
    )
    get(f"{server.url}/health")
    server.process.send_signal(SIGHUP)
    assert get(f"{server.url}/health").text == "ok"
    assert server.stop() == 0


def void(_: object) -> None:
    """What a child process is prepared with returns nothing."""


def test_a_server_that_is_asked_over_and_over_stops_in_order(place: Place) -> None:
    server = place.serve(LETTABOT_API_KEY=KEY)
    while server.process.poll() is None:
        server.process.send_signal(SIGINT)
    assert server.process.returncode == 0
    assert "Traceback" not in server.err


def test_answers_under_way_end_well_while_nothing_new_is_accepted(place: Place, letta: FakeLetta) -> None:
    server = serve(place, letta, shutdown_seconds=600)
    stream, whole = Asking(server), Asking(server, stream=False)
    wait_until(lambda: stream.received and len(letta.heard) == 2, "two turns")
    server.process.send_signal(SIGTERM)
    wait_until(lambda: refuses_connections(server), "refused connections")
    assert "answers=2" in server.wait_for("stopping; .*")
    assert server.process.poll() is None

    letta.let_go.set()
    assert server.process.wait(30) == 0
    assert f'"{SLOW}"' in stream.finish()
    assert stream.received.endswith("data: [DONE]\n\n")
    assert "error" not in stream.received
    assert json.loads(whole.finish())["choices"][0]["message"]["content"] == f"You said: {SLOW}"


def test_answers_that_take_too_long_end_with_an_error_that_tells_of_the_delivery(
    place: Place, letta: FakeLetta
) -> None:
    server = serve(place, letta, shutdown_seconds=0.2)
    stream, whole = Asking(server), Asking(server, stream=False)
    wait_until(lambda: stream.received and len(letta.heard) == 2, "two turns")
    assert server.stop(SIGTERM) == 0
    assert_told(stream.finish())
    assert json.loads(whole.finish())["error"]["code"] == "shutting_down"
    assert whole.status == 503
    assert "Traceback" not in server.err


def test_a_request_that_is_not_whole_keeps_nobody_waiting(place: Place, letta: FakeLetta) -> None:
    server = serve(place, letta, shutdown_seconds=600)
    address = urlsplit(server.url)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n"
    with socket.create_connection((str(address.hostname), address.port or 0)) as client:
        client.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{".encode())
        get(f"{server.url}/health")
        assert server.stop() == 0
        assert b"shutting_down" in client.recv(10_000)
    assert "stopping" not in server.err
    assert "Traceback" not in server.err


def test_a_second_ctrl_c_ends_the_answers_at_once(place: Place, letta: FakeLetta) -> None:
    server = serve(place, letta, shutdown_seconds=600)
    stream = Asking(server)
    wait_until(lambda: stream.received, "a stream that has begun")
    server.process.send_signal(SIGINT)
    server.wait_for("stopping")
    assert server.stop(SIGINT) == 0
    assert_told(stream.finish())
    assert "Traceback" not in server.err


def assert_told(stream: str) -> None:
    *_, error, done = stream.strip().split("\n\n")
    detail = json.loads(error.removeprefix("data: "))["error"]
    assert detail["code"] == "shutting_down"
    assert "was delivered" in detail["message"]
    assert done == "data: [DONE]"
