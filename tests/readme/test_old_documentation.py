"""The curl commands by which LettaBot's own documentation told people to try its API, against this service."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.cli.processes import Place, Running
from tests.clients.conftest import KEY

HELLO = '{"model": "lettabot", "messages": [{"role": "user", "content": "What is on my todo list?"}]%s}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    place = Place(tmp_path_factory.mktemp("old"))
    yield place.serve(LETTABOT_API_KEY=KEY)
    place.clear()


def curl(server: Running, path: str, body: str | None = None, *options: str, key: str | None = None) -> str:
    sent = ["-H", "Content-Type: application/json", "-d", body] if body is not None else []
    command = ["curl", "-sS", f"{server.url}{path}", "-H", key or f"Authorization: Bearer {KEY}", *sent, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


def test_a_whole_completion(server: Running) -> None:
    said = json.loads(curl(server, "/v1/chat/completions", HELLO % "", "-X", "POST"))
    assert said["object"] == "chat.completion"
    assert said["choices"][0]["finish_reason"] == "stop"


def test_a_stream(server: Running) -> None:
    said = curl(server, "/v1/chat/completions", HELLO % ', "stream": true', "-N", "-X", "POST")
    assert said.startswith("data: {")
    assert said.endswith("data: [DONE]\n\n")


def test_the_models(server: Running) -> None:
    [model] = json.loads(curl(server, "/v1/models"))["data"]
    assert (model["id"], model["object"], model["owned_by"]) == ("lettabot", "model", "lettabot")


@pytest.mark.parametrize("key", [f"Authorization: Bearer {KEY}", f"X-Api-Key: {KEY}"])
def test_lettabots_own_chat(server: Running, key: str) -> None:
    said = json.loads(curl(server, "/api/v1/chat", '{"message": "What is on my todo list?"}', "-X", "POST", key=key))
    assert sorted(said) == ["agentName", "response", "success"]
    assert (said["success"], said["agentName"]) == (True, "lettabot")


def test_lettabots_own_stream(server: Running) -> None:
    body = '{"message": "What is on my todo list?"}'
    said = curl(server, "/api/v1/chat", body, "-N", "-X", "POST", "-H", "Accept: text/event-stream")
    events = [json.loads(line[6:]) for line in said.splitlines() if line.startswith("data: ")]
    assert {"assistant", "result"} <= {event["type"] for event in events}
    assert events[-1]["success"] is True


def test_lettabots_own_jobs(server: Running) -> None:
    body = '{"message": "What is on my todo list?", "agent": "lettabot"}'
    said = json.loads(curl(server, "/api/v1/chat/async", body, "-X", "POST"))
    assert said["jobId"]
    assert {name: said[name] for name in ("success", "status", "agentName")} == {
        "success": True,
        "status": "queued",
        "agentName": "lettabot",
    }


def test_the_status(server: Running) -> None:
    assert "lettabot" in json.loads(curl(server, "/api/v1/status"))["agents"]
