"""A real App Server of Letta Code with a scripted language model, on loopback, for as long as a test run.

By hand: `python -m tests.letta_code_server.lab` starts one and prints its address; Ctrl-C stops it."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.letta_server.install import LabUnavailableError
from tests.letta_server.lab_run import by_hand
from tests.letta_server.processes import Processes, answers, free_port

LETTA_CODE = "letta==0.34.12"
AGENTS = ("memo", "nadia")
ROOT = Path(__file__).parents[2]


class LettaCodeLab:
    """`url` is for clients of the App Server; `stub_log` has a line for each request to the model; `work` is where the
    agents' tools run."""

    def __init__(self) -> None:
        if shutil.which("git") is None:
            raise LabUnavailableError("git is missing, in which Letta Code keeps memories: install it.")
        self._letta = installed()
        self._run = Path(tempfile.mkdtemp(prefix="lettabot-code-lab-"))
        self._processes = Processes(self._run)
        self._port, self._stub_port = free_port(), free_port()
        self.url = f"ws://127.0.0.1:{self._port}"
        self.stub_log = self._run / "stub-requests.jsonl"
        self.work = self._run / "work"
        self._environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._run / "home"),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "LETTA_LOCAL_BACKEND_EXPERIMENTAL": "1",
            "LETTA_TELEMETRY_DISABLED": "1",
            "DO_NOT_TRACK": "1",
        }

    def start(self) -> None:
        for directory in (self._run / "home", self.work):
            directory.mkdir()
        self.stub_log.touch()
        stub = [sys.executable, "-m", "tests.letta_server.stub_llm", "--port", str(self._stub_port)]
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        self._processes.start("stub", [*stub, "--log", str(self.stub_log)], environ)
        self._processes.wait_until("stub", lambda: answers(f"http://127.0.0.1:{self._stub_port}/v1/models"), 60)
        base = f"http://127.0.0.1:{self._stub_port}/v1"
        self._call("connect", "openai-compatible", "--base-url", base, "--api-key", "stub")
        for name in AGENTS:
            model = "openai-compatible/gpt-4o"
            self._call("agents", "create", "--name", name, "--model", model, "--personality", "blank")
        self.start_server()

    def start_server(self) -> None:
        command = [self._letta, "--backend", "local", "server", "--listen", self.url, "--openai-api"]
        self._processes.start("letta-code", command, self._environ)
        ready = f"http://127.0.0.1:{self._port}/readyz"
        self._processes.wait_until("letta-code", lambda: answers(ready), 60)

    def kill_server(self) -> None:
        """As a crash does."""
        self._processes.stop("letta-code", signal.SIGKILL)

    def stop(self) -> None:
        for name in ("letta-code", "stub"):
            self._processes.stop(name)
        shutil.rmtree(self._run, ignore_errors=True)

    def requests(self) -> list[list[str]]:
        """Of each request to the model: the texts of its user messages."""
        lines = [json.loads(line) for line in self.stub_log.read_text().splitlines()]
        return [[_text(message) for message in line["messages"] if message["role"] == "user"] for line in lines]

    def asked_with(self, mark: str) -> int:
        """How many requests to the model have a last user message with that mark."""
        return sum(mark in texts[-1] for texts in self.requests() if texts)

    def _call(self, *arguments: str) -> None:
        command = [str(self._letta), "--backend", "local", *arguments]
        done = subprocess.run(
            command, env=self._environ, cwd=self.work, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"letta {' '.join(arguments)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _text(message: dict[str, object]) -> str:
    return json.dumps(message["content"])


def installed() -> Path:
    """The command `letta` of Letta Code, in a cache outside of the checkout; the first time takes half a minute."""
    home = Path("/var/cache") if os.geteuid() == 0 else Path.home() / ".cache"
    place = Path(os.environ.get("LETTABOT_LAB_CACHE") or home / "lettabot-letta-code") / LETTA_CODE.replace("=", "-")
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", place], check=True)
            pip = [str(place / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", LETTA_CODE]
            subprocess.run(pip, check=True)
            (place / "complete").touch()
    return place / "bin" / "letta"


if __name__ == "__main__":
    lab = LettaCodeLab()
    by_hand(lab, lambda: f"LETTA_CODE_URL={lab.url}")
