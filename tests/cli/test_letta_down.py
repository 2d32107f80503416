"""`lettabot server` while Letta is down: it starts, says so, and recovers by itself."""

import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.cli.conftest import KEY, client_of, question
from tests.cli.fake_letta import FakeLetta
from tests.cli.processes import Place, Running, wait_until


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def letta_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(shared_place: Place, letta_port: int) -> Running:
    return shared_place.serve(LETTA_BASE_URL=f"http://127.0.0.1:{letta_port}", LETTABOT_API_KEY=KEY)


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with client_of(server) as client:
        yield client


def test_it_says_that_letta_is_down_and_that_nothing_needs_a_restart(server: Running, letta_port: int) -> None:
    warning = server.wait_for("(?m)^.*Nothing needs a restart.*$")
    assert "warning" in warning
    assert "backend_unavailable" in warning
    assert f"http://127.0.0.1:{letta_port}" in warning
    assert "Traceback" not in server.err


def test_it_is_alive_but_not_ready(client: httpx.Client) -> None:
    assert client.get("/health").status_code == 200
    report = client.get("/health/ready")
    assert (report.status_code, report.json()["code"]) == (503, "backend_unavailable")


def test_clients_are_asked_to_come_back(client: httpx.Client) -> None:
    for answer in (client.get("/v1/models"), client.post("/v1/chat/completions", json=question("hi", stream=True))):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "backend_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert answer.headers["x-should-retry"] == "true"


def test_it_recovers_when_letta_comes_goes_and_comes_again(client: httpx.Client, letta_port: int) -> None:
    for _ in range(2):
        with FakeLetta().start(letta_port) as letta:
            assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["anna"]
            answer = client.post("/v1/chat/completions", json=question("hi"))
            assert answer.json()["choices"][0]["message"]["content"] == "You said: hi"
            assert letta.heard == ["hi"]
        answer = client.post("/v1/chat/completions", json=question("hi"))
        assert answer.json()["error"]["code"] == "backend_unavailable"
    with FakeLetta().start(letta_port):
        wait_until(lambda: client.get("/health/ready").status_code == 200, "ready")
