"""`lettabot server` where nothing is configured: the agent that answers, and the API key."""

import re
import stat

import pytest

from tests.cli.conftest import client_of, question
from tests.cli.processes import Place, Running

HEX_KEY = re.compile(r"[0-9a-f]{64}")


@pytest.fixture(scope="module")
def newcomer(shared_place: Place) -> Running:
    """The first start in an empty directory."""
    return shared_place.serve()


def test_a_newcomer_talks_to_an_agent_with_the_key_that_was_printed(newcomer: Running) -> None:
    [key] = HEX_KEY.findall(newcomer.out)
    with client_of(newcomer, key) as client:
        answer = client.post("/v1/chat/completions", json=question("add milk to my todo list"))
        assert "milk" in answer.json()["choices"][0]["message"]["content"]


def test_a_newcomer_is_told_that_this_is_not_letta_and_how_to_connect_it(newcomer: Running) -> None:
    warning = newcomer.wait_for("(?m)^.*not Letta.*$")
    assert "warning" in warning
    for way in ("LETTA_BASE_URL", "LETTA_API_KEY", "lettabot.yaml", "mode='embedded'"):
        assert way in warning


def test_a_newcomer_is_told_where_the_service_is(newcomer: Running) -> None:
    assert f"{newcomer.url}/v1" in newcomer.err
    assert f"{newcomer.url}/docs" in newcomer.err


def test_the_new_key_is_printed_once_with_its_file_and_never_logged(newcomer: Running, shared_place: Place) -> None:
    [key] = HEX_KEY.findall(newcomer.out)
    assert str(shared_place.key_file) in newcomer.out
    assert key in shared_place.key_file.read_text()
    assert stat.S_IMODE(shared_place.key_file.stat().st_mode) == 0o600
    assert key not in newcomer.err


def test_a_later_start_prints_no_key_and_takes_the_one_in_the_file(place: Place) -> None:
    place.write("lettabot-api.json", '{"apiKey": "kept-from-the-old-lettabot"}')
    server = place.serve()
    with client_of(server, "kept-from-the-old-lettabot") as client:
        assert client.get("/v1/models").status_code == 200
    assert server.out == ""
    assert "kept-from" not in server.err


def test_a_key_from_the_environment_wins_and_is_never_printed(place: Place) -> None:
    place.write("lettabot-api.json", '{"apiKey": "from-the-file"}')
    server = place.serve(LETTABOT_API_KEY="from-the-environment")
    with client_of(server, "from-the-environment") as client:
        assert client.get("/v1/models").status_code == 200
        assert client.get("/v1/models", headers={"Authorization": "Bearer from-the-file"}).status_code == 401
    assert "from-the" not in server.out + server.err


def test_servers_that_start_at_once_end_up_with_one_key(place: Place) -> None:
    servers = [place.start(["server", "--port", "0"], {}) for _ in range(3)]
    urls = {server.url for server in servers}
    assert len(urls) == 3
    # Only the one whose key was kept has told its owner.
    [key] = [key for server in servers for key in HEX_KEY.findall(server.out)]
    for server in servers:
        with client_of(server, key) as client:
            assert client.get("/v1/models").status_code == 200
    assert not list(place.directory.glob(".*"))
