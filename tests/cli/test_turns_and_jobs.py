"""`lettabot turns` and `lettabot jobs` against a running service."""

import json
import re
import signal
from collections.abc import Iterator

import httpx
import pytest

from tests.cli.processes import Place, Running
from tests.letta_server.processes import free_port

KEY = "the-key-of-this-test-0123"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("place"))
    place.write("lettabot-api.json", json.dumps({"apiKey": KEY}))
    place.write("lettabot.yaml", f"server: {{api: {{port: {free_port()}}}}}")
    place.start(["server"], {}).wait_for("listening")
    yield place
    place.clear()


def said(place: Place, *arguments: str, code: int = 0) -> Running:
    command = place.start(arguments, {})
    assert command.process.wait(30) == code, command.err
    return command


def test_turns_are_listed_as_a_table_and_as_json(place: Place) -> None:
    said(place, "jobs", "send", "add milk to my todo list", "--wait")
    lines = said(place, "turns").out.splitlines()
    assert lines[0].split()[:4] == ["ASKED", "TURN", "AGENT", "CHAT"]
    assert re.search(r"lettabot .*answered", lines[1])
    [turn] = map(json.loads, said(place, "turns", "--json", "--limit", "1").out.splitlines())
    assert turn["tools"] == {"add_todos": 1}


def test_turns_are_watched_live(place: Place) -> None:
    watching = place.start(["turns", "--watch"], {})
    url = re.search(r"port: (\d+)", (place.directory / "lettabot.yaml").read_text())
    assert url is not None
    while "answered" not in watching.out:
        body = {"messages": [{"role": "user", "content": "what is on my todo list?"}]}
        headers = {"Authorization": f"Bearer {KEY}"}
        httpx.post(f"http://127.0.0.1:{url[1]}/v1/chat/completions", json=body, headers=headers)
    assert watching.stop(signal.SIGINT) != 0
    assert "Traceback" not in watching.err


def test_a_turn_that_does_not_go_on_cannot_be_stopped(place: Place) -> None:
    assert "lettabot turns" in said(place, "turns", "stop", "turn_0", code=1).err


def test_a_job_is_sent_shown_waited_for_and_listed(place: Place) -> None:
    job = said(place, "jobs", "send", "remember that the sky is blue").out.strip()
    assert re.fullmatch(r"job_[0-9a-f]+", job)
    waited = said(place, "jobs", "wait", job, job)
    assert "sky is blue" in waited.out
    assert "sky is blue" in said(place, "jobs", "show", job).out
    listed = said(place, "jobs", "--state", "completed").out
    assert job in listed
    assert "There is no such job" in said(place, "jobs", "show", "job_0", code=1).err
    assert "ended already" in said(place, "jobs", "cancel", job, code=1).err
    assert "Error: There is nothing" in said(place, "jobs", "show", "../../health", code=1).err


@pytest.mark.parametrize("command", [["turns"], ["turns", "--watch"], ["jobs"], ["jobs", "wait", "job_0"]])
def test_without_a_service_it_is_said_what_to_do(place: Place, command: list[str]) -> None:
    told = said(place, *command, "--url", f"http://127.0.0.1:{free_port()}", code=1).err
    assert "lettabot server" in told
    assert "Traceback" not in told


def test_a_key_that_the_service_refuses_is_said(place: Place) -> None:
    wrong = place.start(["turns"], {"LETTABOT_API_KEY": "another-key-0123456789"})
    assert wrong.process.wait(30) == 1
    assert "refuses the key" in wrong.err
