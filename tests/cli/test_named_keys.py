"""`lettabot key create`, `list` and `revoke`, beside a server that runs."""

import json
import re
import threading
import time

import httpx
import pytest

from tests.cli.conftest import question
from tests.cli.fake_letta import SLOW, FakeLetta
from tests.cli.processes import Place, Running, wait_until


def status(server: Running, key: str) -> int:
    return httpx.get(f"{server.url}/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code


def within(seconds: float, server: Running, key: str, expected: int) -> bool:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if status(server, key) == expected:
            return True
        time.sleep(0.1)
    return False


def test_a_key_is_made_used_listed_and_revoked(place: Place) -> None:
    server = place.serve()
    main = place.run("key", "show").out.strip()
    limits = ["--agents", "lettabot, helper", "--expires", "90d", "--no-chat-headers"]
    made = place.run("key", "create", "alice", "--usage", *limits)
    key = made.out.strip()
    assert made.process.returncode == 0
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert within(5, server, key, 200)
    listed = place.run("key", "list").out
    assert re.search(r"alice +\S+ \S+ UTC +\S+ \S+ UTC +lettabot,helper +no +yes", listed)
    assert key not in listed
    assert key not in (place.directory / "lettabot-keys.json").read_text()
    assert place.run("key", "revoke", "alice").process.returncode == 0
    assert within(5, server, key, 401)
    assert status(server, main) == 200
    assert json.loads((place.directory / "lettabot-api.json").read_text()) == {"apiKey": main}
    assert "key='alice'" in server.err
    assert key not in server.err


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stream_of_a_key_that_is_revoked_ends(place: Place, workers: str) -> None:
    received: list[str] = []

    def ask(server: Running, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        body = question(SLOW, stream=True)
        with httpx.stream(
            "POST", f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=60
        ) as answer:
            received.extend(answer.iter_text())

    with FakeLetta() as letta:
        place.write("lettabot.yaml", f"server: {{baseUrl: '{letta.url}'}}")
        server = place.serve("--workers", workers)
        key = place.run("key", "create", "alice").out.strip()
        asking = threading.Thread(target=ask, args=(server, key), daemon=True)
        asking.start()
        wait_until(lambda: letta.heard and received, "a stream that has begun")
        assert place.run("key", "revoke", "alice").process.returncode == 0
        asking.join(30)
        assert not letta.let_go.is_set()
    assert '"code":"key_revoked"' in received[-1]
    assert "may or may not" in received[-1]
    assert received[-1].endswith("data: [DONE]\n\n")


def test_what_is_wrong_is_said(place: Place) -> None:
    assert "There are none" in place.run("key", "list").err
    for arguments in (
        ["a b"],
        ["alice", "--expires", "soon"],
        ["alice", "--expires", "0d"],
        ["alice", "--agents", ","],
    ):
        refused = place.run("key", "create", *arguments)
        assert refused.process.returncode == 2, arguments
    assert "exclude" in place.run("key", "create", "alice", "--no-chat-headers", "--share-chats").err
    assert place.run("key", "create", "alice").process.returncode == 0
    again = place.run("key", "create", "alice")
    assert (again.process.returncode, again.out) == (1, "")
    assert "already" in again.err
    unknown = place.run("key", "revoke", "bob")
    assert unknown.process.returncode == 1
    assert "lettabot key list" in unknown.err


@pytest.mark.parametrize("content", ["{", ""])
def test_a_broken_file_of_keys_is_said_and_stops_nobody_else(place: Place, content: str) -> None:
    place.write("lettabot-keys.json", content)
    assert "lettabot-keys.json cannot be read" in place.run("key", "list").err
    server = place.serve(LETTABOT_API_KEY="main")
    assert status(server, "main") == 200
    # Whether that one holds cannot be known.
    assert status(server, "other") == 503
