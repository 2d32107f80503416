"""Clients whose installation is too large for every run (tests/clients/install_large.sh): Codex and LiteLLM."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.processes import Running
from tests.clients.conftest import CLIENTS, KEY, serving
from tests.clients.scripted_letta import TEXT, TOOL_TEXT, ScriptedLetta

pytestmark = pytest.mark.large_clients

CODEX = CLIENTS / "codex" / "node_modules" / ".bin" / "codex"
LITELLM = CLIENTS / "litellm" / "bin"
SCENARIOS = {
    "tool_then_text": TOOL_TEXT,
    "tool_then_error": "language model failed",
    "llm_error": "language model failed",
    "cut_in_mid_answer": "language model failed",
    "late": TEXT,
}
# Seconds.
STARTS_WITHIN = 120.0
MASTER = "sk-of-this-proxy-0123456789"


def program(path: Path) -> Path:
    if not path.exists():
        pytest.skip("NOT TRIED: run: bash tests/clients/install_large.sh")
    return path


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_codex_delivers_a_message_once_however_often_it_asks(tmp_path: Path, scenario: str) -> None:
    codex, question = program(CODEX), f"{scenario} codex"
    home, work = tmp_path / "codex", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    with ScriptedLetta([question]) as letta, contextmanager(serving)(tmp_path, LETTA_BASE_URL=letta.url) as server:
        (home / "config.toml").write_text(f"""
            model = "{question}"
            model_provider = "lettabot"
            [model_providers.lettabot]
            name = "lettabot"
            base_url = "{server.url}/v1"
            env_key = "LETTABOT_API_KEY"
            wire_api = "responses"
            stream_idle_timeout_ms = {1_500 if scenario == "late" else 600_000}
        """)
        path = f"{(CLIENTS / 'node').absolute()}:{os.environ['PATH']}"
        done = subprocess.run(
            [codex, "exec", "--skip-git-repo-check", "Say hello."],
            env={**os.environ, "PATH": path, "CODEX_HOME": str(home), "HOME": str(home), "LETTABOT_API_KEY": KEY},
            cwd=work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert SCENARIOS[scenario] in done.stdout + done.stderr
        assert [text for _, text in letta.deliveries[question]] == ["Say hello."]
        asked = [line["status"] for line in server.log if line.get("path") == "/v1/responses" and "status" in line]
        assert len(asked) > 1 or scenario != "late", "it did not ask again: the test proves less than it should"


@contextmanager
def litellm_proxy(directory: Path, models: list[dict[str, Any]]) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = {"model_list": models, "general_settings": {"master_key": MASTER}}
    (directory / "litellm.json").write_text(json.dumps(config))
    with (directory / "litellm.log").open("w") as log:
        process = subprocess.Popen(
            [program(LITELLM / "litellm"), "--config", "litellm.json", "--host", "127.0.0.1", "--port", str(port)],
            cwd=directory,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        give_up = time.monotonic() + STARTS_WITHIN
        while not answers(f"{url}/health/liveliness"):
            assert time.monotonic() < give_up, (directory / "litellm.log").read_text()
            time.sleep(0.5)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def test_litellms_proxy_is_a_backend(tmp_path: Path) -> None:
    model = {
        "model_name": "mock",
        "litellm_params": {"model": "openai/mock", "api_key": "x", "mock_response": "Hello from LiteLLM."},
    }
    with litellm_proxy(tmp_path, [model]) as url:
        config = tmp_path / "lettabot.yaml"
        config.write_text(f'server: {{mode: openai, baseUrl: "{url}/v1", apiKey: "{MASTER}"}}\n')
        with contextmanager(serving)(tmp_path, LETTABOT_CONFIG=str(config)) as server, client_of(server) as client:
            assert [each["id"] for each in client.get("/v1/models").json()["data"]] == ["mock"]
            asked = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}
            answer = client.post("/v1/chat/completions", json=asked).json()
            assert answer["choices"][0]["message"]["content"] == "Hello from LiteLLM."
            response = client.post("/v1/responses", json={"model": "mock", "input": "hi"}).json()
            assert response["output"][0]["content"][0]["text"] == "Hello from LiteLLM."


@pytest.mark.parametrize("scenario", ["tool_then_text", "tool_then_error"])
@pytest.mark.parametrize("stream", [True, False])
def test_litellms_proxy_in_front_delivers_once(tmp_path: Path, scenario: str, stream: bool) -> None:
    question = f"{scenario} litellm"
    with ScriptedLetta([question]) as letta, contextmanager(serving)(tmp_path, LETTA_BASE_URL=letta.url) as server:
        params = {"model": f"openai/{question}", "api_base": f"{server.url}/v1", "api_key": KEY}
        with litellm_proxy(tmp_path, [{"model_name": "agent", "litellm_params": params}]) as url:
            answer = httpx.post(
                f"{url}/v1/responses",
                json={"model": "agent", "input": "Say hello.", "stream": stream},
                headers={"Authorization": f"Bearer {MASTER}"},
                timeout=60,
            )
        assert SCENARIOS[scenario].partition(" ")[0] in answer.text or "failed" in answer.text
        assert [text for _, text in letta.deliveries[question]] == ["Say hello."]


def test_litellms_sdk_asks_for_responses(tmp_path: Path) -> None:
    python, question = program(LITELLM / "python"), "tool_then_text litellm"
    with ScriptedLetta([question]) as letta, contextmanager(serving)(tmp_path, LETTA_BASE_URL=letta.url) as server:
        code = (
            "import litellm, sys\n"
            "base = dict(model='openai/' + sys.argv[2], api_base=sys.argv[1], api_key=sys.argv[3])\n"
            "print(litellm.responses(input='one', **base).output_text)\n"
            "for event in litellm.responses(input='two', stream=True, **base):\n"
            "    if event.type == 'response.output_text.delta': print(event.delta, end='')\n"
        )
        done = subprocess.run(
            [python, "-c", code, f"{server.url}/v1", question, KEY],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(TOOL_TEXT) == 2, done.stdout
        assert [text for _, text in letta.deliveries[question]] == ["one", "two"]


@contextmanager
def client_of(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client:
        yield client
