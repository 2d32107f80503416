"""The Responses API as OpenAI's own SDKs use all of it. That nothing is delivered twice: test_one_delivery.py."""

import json
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cli.processes import Running
from tests.clients.conftest import CLIENTS, KEY, ROOT, installed, serving
from tests.clients.scripted_letta import TOOL_TEXT, ScriptedLetta

HERE = Path(__file__).parent


def printed(*command: str, cwd: Path = ROOT) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_all_that_the_node_package_has(server: Running, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(installed(CLIENTS / "node" / "node_modules"))
    script = shutil.copy(HERE / "responses_node.mjs", tmp_path)
    got = printed(str(installed(CLIENTS / "node" / "node")), str(script), f"{server.url}/v1", KEY)
    todos = "Your todo list:\n1. milk\n2. bread"
    assert got == {
        "first": "Added to your todo list: “milk”.",
        "same": True,
        "conversation": True,
        "refused": [400, "previous_response_not_last", "previous_response_id"],
        "input": ["add bread"],
        "items": [
            "kept",
            "Added to your todo list: “bread”.",
            "add bread",
            "Added to your todo list: “milk”.",
            "add milk",
        ],
        "described": "trees",
        "numbers": True,
        "end": "response.completed",
        "text": todos,
        "cancelled": "completed",
        "helper": todos,
        "gone": 404,
        "deleted": True,
    }


def test_the_agents_sdk_with_a_session_delivers_each_message_once(tmp_path: Path) -> None:
    python, agent = installed(CLIENTS / "frameworks" / "bin" / "python"), "tool_then_text session"
    with ScriptedLetta([agent]) as letta, contextmanager(serving)(tmp_path, LETTA_BASE_URL=letta.url) as server:
        got = printed(str(python), "-m", "tests.clients.responses_session", f"{server.url}/v1", KEY, agent)
    assert got == {
        "outputs": [TOOL_TEXT, TOOL_TEXT],
        "roles": ["user", "assistant", "user", "assistant"],
        "following": TOOL_TEXT,
    }
    assert [text for _, text in letta.deliveries[agent]] == ["one", "two", "three", "four"]
