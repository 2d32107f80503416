"""Which conversation a chat has survives restarts, in a file that only its owner reads."""

import sqlite3
import stat

import pytest

from tests.cli.conftest import KEY, client_of, question
from tests.cli.processes import Place, Running

CHAT = "/v1/chat/completions"
IN_A_CHAT = {"X-Letta-Chat-Key": "groceries"}


def rows(place: Place) -> list[tuple[str, str]]:
    with sqlite3.connect(place.directory / "lettabot-state.sqlite") as database:
        return list(database.execute("SELECT chat, conversation FROM lettabot_conversations"))


def ask(server: Running, headers: dict[str, str]) -> int:
    with client_of(server) as client:
        return client.post(CHAT, json=question("what is on my list?"), headers=headers).status_code


def test_a_chat_keeps_its_conversation_when_the_service_restarts(place: Place) -> None:
    server = place.serve(LETTABOT_API_KEY=KEY)
    assert ask(server, IN_A_CHAT) == 200
    [(chat, conversation)] = rows(place)
    assert chat == "groceries"
    assert server.stop() == 0
    again = place.serve(LETTABOT_API_KEY=KEY)
    assert ask(again, IN_A_CHAT) == 200
    assert ask(again, {"X-Letta-Chat-Key": "letters"}) == 200
    assert rows(place)[0] == (chat, conversation)
    assert len(rows(place)) == 2


def test_the_file_is_private(place: Place) -> None:
    ask(place.serve(LETTABOT_API_KEY=KEY), IN_A_CHAT)
    for file in place.directory.glob("lettabot-state.sqlite*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(("headers", "state"), [({}, ""), (IN_A_CHAT, "server: {api: {state: memory}}")])
def test_no_file_is_made_where_none_is_needed(place: Place, headers: dict[str, str], state: str) -> None:
    place.write("lettabot.yaml", state)
    assert ask(place.serve(LETTABOT_API_KEY=KEY), headers) == 200
    assert not list(place.directory.glob("lettabot-state.sqlite*"))


def test_a_broken_file_is_said_and_mended_without_a_restart(place: Place) -> None:
    broken = place.write("lettabot-state.sqlite", "This is a letter to my aunt, and no database at all." * 50)
    server = place.serve(LETTABOT_API_KEY=KEY)
    with client_of(server) as client:
        answer = client.post(CHAT, json=question("hello"), headers=IN_A_CHAT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "state_unavailable")
    assert answer.headers["x-should-retry"] == "true"
    assert "Nothing was delivered" in answer.json()["error"]["message"]
    assert "file is not a database" in server.err
    # Where messages without a chat key go may have been assigned.
    assert ask(server, {}) == 503
    broken.unlink()
    assert ask(server, IN_A_CHAT) == 200
    assert ask(server, {}) == 200
