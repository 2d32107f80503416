"""`lettabot server --workers N`: processes that start together, replace each other, and stop together."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM

import httpx
import pytest

from tests.cli.conftest import KEY, client_of, question
from tests.cli.fake_letta import ANNA, BERT, HALTING, FakeLetta
from tests.cli.processes import Place, Running, get, wait_until

CHAT = "/v1/chat/completions"


def workers_of(server: Running) -> set[int]:
    parent = server.process.pid
    return {int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()}


def are_gone(pids: set[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def statuses(server: Running, key: str, count: int = 24) -> set[int]:
    """Of so many requests, each on a connection of its own, which any worker may get."""
    headers = {"Authorization": f"Bearer {key}"}
    return {
        httpx.get(f"{server.url}/v1/models", headers=headers, timeout=30, verify=False).status_code
        for _ in range(count)
    }


def serve(place: Place, **environment: str) -> Running:
    return place.serve("--workers", "3", **environment)


@pytest.fixture
def letta() -> Iterator[FakeLetta]:
    with FakeLetta(((ANNA, "anna"), (BERT, "bert"))) as letta:
        yield letta


@pytest.mark.parametrize("sign", [SIGTERM, SIGINT, SIGHUP])
def test_they_start_and_stop_together(place: Place, sign: signal.Signals) -> None:
    server = serve(place, LETTABOT_API_KEY=KEY)
    workers = workers_of(server)
    assert len(workers) == 3
    with client_of(server) as client:
        assert client.post(CHAT, json=question("hello")).status_code == 200
    assert server.stop(sign) == 0
    assert are_gone(workers)
    assert "Traceback" not in server.err


def test_there_is_one_key_for_all(place: Place) -> None:
    server = serve(place)
    assert server.out.count("A new API key was made") == 1
    key = place.run("key", "show").out.strip()
    assert key in server.out
    assert statuses(server, key) == {200}


@pytest.mark.state
def test_a_key_is_revoked_in_all_of_them(place: Place) -> None:
    server = serve(place, LETTABOT_API_KEY=KEY)
    key = place.run("key", "create", "alice").out.strip()
    time.sleep(1.5)
    assert statuses(server, key) == {200}
    place.run("key", "revoke", "alice")
    time.sleep(1.5)
    assert statuses(server, key) == {401}


@pytest.mark.state
def test_one_that_dies_is_replaced(place: Place) -> None:
    server = serve(place, LETTABOT_API_KEY=KEY)
    before = workers_of(server)
    os.kill(min(before), SIGKILL)
    wait_until(lambda: len(workers_of(server) - before) == 1 or None, "another worker")
    assert "another one takes its place" in server.err
    assert statuses(server, KEY) == {200}
    assert server.stop() == 0


@pytest.mark.state
def test_without_their_parent_they_end(place: Place) -> None:
    server = serve(place, LETTABOT_API_KEY=KEY)
    workers = workers_of(server)
    server.stop(SIGKILL)
    wait_until(lambda: are_gone(workers) or None, "the end of the workers")


@pytest.mark.state
def test_answers_may_end(place: Place, letta: FakeLetta) -> None:
    server = serve(place, LETTABOT_API_KEY=KEY, LETTA_BASE_URL=letta.url)
    with client_of(server) as client, client.stream("POST", CHAT, json=question(HALTING, stream=True)) as answer:
        parts = answer.iter_text()
        received = next(parts)
        while "Well" not in received:
            received += next(parts)
        server.process.send_signal(SIGTERM)
        server.wait_for("answers that are under way may end")
        letta.let_go.set()
        received += "".join(parts)
    assert "You said" in received
    assert received.endswith("data: [DONE]\n\n")
    assert server.process.wait(30) == 0


@pytest.mark.state
def test_a_second_ctrl_c_ends_them(place: Place, letta: FakeLetta) -> None:
    server = serve(place, LETTABOT_API_KEY=KEY, LETTA_BASE_URL=letta.url)
    with client_of(server) as client, client.stream("POST", CHAT, json=question(HALTING, stream=True)) as answer:
        parts = answer.iter_text()
        received = next(parts)
        server.process.send_signal(SIGINT)
        server.wait_for("answers that are under way may end")
        server.process.send_signal(SIGINT)
        received += "".join(parts)
    assert "shutting_down" in received
    assert server.process.wait(30) == 0


def test_what_one_cannot_do_none_can(place: Place) -> None:
    (place.directory / "lettabot-embedded.sqlite").mkdir()
    server = place.start(["server", "--port", "0", "--workers", "2"], {"LETTABOT_API_KEY": KEY})
    assert server.process.wait(30) == 1
    assert "lettabot-embedded.sqlite" in server.err
    assert "Traceback" not in server.err


def test_they_need_a_state_to_share(place: Place) -> None:
    place.write("lettabot.yaml", "server: {api: {state: memory, workers: 2}}")
    server = place.run("server", LETTABOT_API_KEY=KEY)
    assert server.process.returncode == 1
    assert "Several workers have to share what they remember" in server.err


def test_the_log_says_whose_line_it_is(place: Place) -> None:
    server = serve(place, LETTABOT_API_KEY=KEY, LOG_FORMAT="json")
    assert statuses(server, KEY) == {200}
    assert get(f"{server.url}/health").status_code == 200
    seen = {line["worker"] for line in server.log if line["event"] == "request"}
    assert seen <= {0, 1, 2}
    assert seen
