"""The OpenAI SDKs against a real server: what they return, what they raise, and how often they ask."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.processes import Running
from tests.clients.conftest import CLIENTS, KEY, installed

HERE = Path(__file__).parent
TODOS = "Your todo list:\n1. milk"


def python(interpreter: Path) -> list[str]:
    return [str(installed(interpreter)), str(HERE / "python_client.py")]


def node() -> list[str]:
    # Node looks for packages beside the script.
    script = installed(CLIENTS / "node" / "node_modules" / "openai").parents[1] / "node_client.mjs"
    shutil.copy(HERE / "node_client.mjs", script)
    return [str(CLIENTS / "node" / "node"), str(script)]


@pytest.mark.parametrize("client", ["newest Python", "newest 1.x of Python", "Node"])
def test_an_sdk_gets_what_it_expects(server: Running, client: str) -> None:
    match client:
        case "newest Python":
            command = python(Path(sys.executable))
        case "newest 1.x of Python":
            command = python(CLIENTS / "openai1" / "bin" / "python")
        case _:
            command = node()
    asked_before = len(requests(server))
    done = subprocess.run([*command, f"{server.url}/v1", KEY], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert got["models"] == ["lettabot"]
    assert got["retrieved"] == "lettabot"
    assert got["sync"] == TODOS
    assert got["finish"] == "stop"
    assert got["usage"] is None
    assert got["request_id"].startswith("req_")
    stream = got["stream"]
    assert stream.pop("call_id").startswith("call_agent_")
    assert stream == {
        "role": "assistant",
        "text": TODOS,
        "call_type": "function",
        "call_name": "list_todos",
        "call_arguments": {},
        "finish": "stop",
    }
    assert got["async"]["sync"] == TODOS
    if "Python" in client:
        assert got["async"]["stream"]["text"] == TODOS
    assert got["wrong_key"] == {
        "class": "AuthenticationError",
        "status": 401,
        "code": "invalid_api_key",
        "param": None,
    }
    assert got["unknown_model"] == {"class": "NotFoundError", "status": 404, "code": "model_not_found", "param": None}
    assert got["bad_request"] == {
        "class": "BadRequestError",
        "status": 400,
        "code": None,
        "param": "messages[0].content",
    }
    asked = requests(server)[asked_before:]
    assert len(asked) == (10 if "Python" in client else 9), "an SDK has repeated a request"


def requests(server: Running) -> list[dict[str, object]]:
    return [line for line in server.log if line["event"] == "request" and line["path"] != "/health"]
