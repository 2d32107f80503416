"""The OpenAI SDKs against a real server: what they return, what they raise, and how often they ask."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.fake_letta import FAILING, FakeLetta
from tests.cli.processes import Running
from tests.clients.conftest import CLIENTS, KEY, installed

HERE = Path(__file__).parent
CHAT, MODELS = "/v1/chat/completions", "/v1/models"
ADDED = "Added to your todo list: “milk”."
TODOS = "Your todo list:\n1. milk"

sdks = pytest.mark.parametrize("sdk", ["newest Python", "newest 1.x of Python", "Node"])


def command(sdk: str, directory: Path) -> list[str]:
    if sdk == "newest Python":
        return [sys.executable, str(HERE / "python_client.py")]
    if sdk == "newest 1.x of Python":
        return [str(installed(CLIENTS / "openai1" / "bin" / "python")), str(HERE / "python_client.py")]
    # Node looks for packages beside the script.
    (directory / "node_modules").symlink_to(installed(CLIENTS / "node" / "node_modules"))
    script = shutil.copy(HERE / "node_client.mjs", directory)
    return [str(installed(CLIENTS / "node" / "node")), str(script)]


def printed(sdk: str, what: str, server: Running, directory: Path) -> dict[str, Any]:
    done = subprocess.run(
        [*command(sdk, directory), what, f"{server.url}/v1", KEY],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def requests(server: Running) -> list[tuple[object, object]]:
    """Path and status of what was asked, without the look at /health when the server started."""
    return [(line["path"], line["status"]) for line in server.log if line["event"] == "request"][1:]


@sdks
def test_an_sdk_gets_what_it_expects(server: Running, tmp_path: Path, sdk: str) -> None:
    got = printed(sdk, "answers", server, tmp_path)

    assert got["models"] == ["lettabot"]
    assert got["retrieved"] == "lettabot"

    assert got["stream"].pop("call_id").startswith("call_agent_")
    assert got["stream"] == {
        "answers": 1,
        "role": "assistant",
        "text": ADDED,
        "call_type": "function",
        "call_name": "add_todos",
        "call_indices": [0],
        "call_arguments": {"todos": ["milk"]},
        "finish": ["stop"],
    }
    assert got["sync"].pop("request_id").startswith("req_")
    assert got["sync"] == {"text": TODOS, "role": "assistant", "finish": "stop", "usage": None}
    if sdk == "Node":
        assert got["helper"] == TODOS
    else:
        assert got["async"]["models"] == ["lettabot"]
        assert got["async"]["sync"]["text"] == TODOS
        assert got["async"]["stream"]["text"] == TODOS
        assert got["async"]["stream"]["call_name"] == "list_todos"

    for what, class_, status, code, param in (
        ("wrong_key", "AuthenticationError", 401, "invalid_api_key", None),
        ("wrong_key_stream", "AuthenticationError", 401, "invalid_api_key", None),
        ("unknown_model", "NotFoundError", 404, "model_not_found", None),
        ("unknown_retrieved", "NotFoundError", 404, "model_not_found", None),
        ("blank", "BadRequestError", 400, None, "messages[0].content"),
        ("picture", "BadRequestError", 400, "unsupported_content", "messages[0].content[0].image_url"),
    ):
        error = got[what]
        assert (error["class"], error["status"], error["code"], error["param"]) == (class_, status, code, param)
        assert error["request_id"].startswith("req_")
        assert error["says"]

    good = [(MODELS, 200), (f"{MODELS}/lettabot", 200), (CHAT, 200), (CHAT, 200)]
    more = [(CHAT, 200)] if sdk == "Node" else [(CHAT, 200), (CHAT, 200), (MODELS, 200)]
    bad = [(CHAT, 401), (CHAT, 401), (CHAT, 404), (f"{MODELS}/nobody", 404), (CHAT, 400), (CHAT, 400)]
    # Sorted, because a stream is logged when it ends, and other requests are made meanwhile.
    assert sorted(requests(server)) == sorted(good + more + bad), "an SDK has repeated a request"


@sdks
def test_an_sdk_does_not_send_again_what_was_delivered(
    server_before_letta: Running, letta: FakeLetta, tmp_path: Path, sdk: str
) -> None:
    got = printed(sdk, "failures", server_before_letta, tmp_path)

    # A 502, which an SDK would repeat, were it not for `x-should-retry: false`.
    assert (got["sync"]["class"], got["sync"]["status"]) == ("InternalServerError", 502)
    assert (got["stream"]["class"], got["stream"]["status"]) == ("APIError", None)
    for error in got.values():
        assert error["code"] == "llm_error"
        assert "Your message was delivered; do not send it again." in error["says"]
    assert letta.heard == [FAILING, FAILING]
    assert requests(server_before_letta) == [(CHAT, 502), (CHAT, 200)]
