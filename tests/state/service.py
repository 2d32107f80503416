"""lettabot as processes that are killed and started again, on the same port and the same state."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from tests.letta_server.processes import Processes, answers, free_port

# Seconds in which all that is left has to be done, when nobody is killed any more.
PATIENCE = 120.0
ROOT = Path(__file__).parents[2]
DEFAULT_STATE = "sqlite:///lettabot-state.sqlite"
PACKAGES = ("domain", "ports", "adapters", "entrypoints")


class Service:
    """`url` stays the same. `api`: settings, as in `server.api`."""

    def __init__(
        self, directory: Path, letta_url: str, state: str = "", name: str = "lettabot", api: str = "maxWaitingTurns: 8"
    ) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / f"{name}.log"
        self._name = name
        self._key = ""
        self._processes = Processes(directory)
        self._environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "DATA_DIR": str(directory),
            "LETTA_BASE_URL": letta_url,
            "LOG_FORMAT": "json",
            "LETTABOT_CONFIG_YAML": f"server: {{api: {{{api}, state: '{state or DEFAULT_STATE}'}}}}",
        }
        self._upgraded = directory / "upgraded"

    def start(self, upgraded: bool = False, options: Sequence[str] = ()) -> None:
        """`upgraded`: from another directory, with other code in it, as the next version will be."""
        self.launch(options, upgraded)
        self.wait()

    def wait(self) -> None:
        self._processes.wait_until(self._name, lambda: answers(f"{self.url}/health"), 30)

    def kill(self) -> None:
        """All of it at once, as a crash of the machine does."""
        for pid in self.workers:
            os.kill(pid, signal.SIGKILL)
        self._processes.stop(self._name, signal.SIGKILL)

    def kill_a_worker(self) -> None:
        """It is replaced."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(random.choice(self.workers), signal.SIGKILL)

    def stop(self) -> None:
        self._processes.stop(self._name, signal.SIGTERM, patience=40)

    def command(self, *arguments: str) -> str:
        """What `lettabot` prints, in the same directory and environment."""
        command = [sys.executable, "-m", "entrypoints.cli", *arguments]
        environ = {**self._environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            command, env=environ, cwd=self.directory, check=True, capture_output=True, text=True
        ).stdout

    @property
    def workers(self) -> list[int]:
        """Their process ids."""
        parent = self._processes.pid(self._name)
        return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]

    @property
    def pids(self) -> list[int]:
        """Of all its processes."""
        return [self._processes.pid(self._name), *self.workers]

    @property
    def key(self) -> str:
        """Looked up once."""
        self._key = self._key or self.shown_key()
        return self._key

    def shown_key(self) -> str:
        return self.command("key", "show").strip()

    def client(self, **options: object) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, **options)  # type: ignore[arg-type]

    def client_async(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30)

    def launch(self, options: Sequence[str] = (), upgraded: bool = False) -> None:
        """Without waiting until it answers."""
        place = ROOT
        if upgraded:
            place = self._upgraded
            if not place.exists():
                for package in PACKAGES:
                    shutil.copytree(ROOT / package, place / package)
                for file in (place / "adapters" / "dbos" / "job_queue.py", place / "domain" / "services" / "jobs.py"):
                    file.write_text(file.read_text() + "\n\n# The next version.\nNEXT = True\n")
        # The interpreter's own path first: an installed checkout must not win.
        script = f"import sys; sys.path.insert(0, {str(place)!r}); from entrypoints.cli import main; main()"
        command = [sys.executable, "-c", script, "server", "--port", self.port, *options]
        self._processes.start(self._name, command, self._environ)


def outcomes(service: Service, accepted: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The reports of these jobs, whose ids stand at their texts, when all of them have ended."""
    open_jobs = dict(accepted)
    ended: dict[str, dict[str, str]] = {}
    deadline = time.monotonic() + PATIENCE
    with service.client() as client:
        while open_jobs:
            for text, id_ in list(open_jobs.items()):
                told = client.get(f"/api/v1/chat/async/{id_}")
                assert told.status_code == 200, f"the job {text!r} was lost"
                if told.json()["status"] not in ("queued", "running"):
                    ended[text] = told.json()
                    del open_jobs[text]
            assert time.monotonic() < deadline, f"jobs that do not end: {open_jobs}"
            time.sleep(0.3)
    return ended
