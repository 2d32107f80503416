"""Real `lettabot` processes, each in a directory and an environment in which nothing is configured."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx

LETTABOT = (str(Path(sys.executable).with_name("lettabot")),)
PATIENCE = 30.0

T = TypeVar("T")


def wait_until(look: Callable[[], T | None], what: str) -> T:
    """What `look` returns, as soon as that is something."""
    give_up = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < give_up, f"this never came: {what}"
        time.sleep(0.01)
    return found


def get(url: str) -> httpx.Response:
    # Unverified, because reading the system's certificates takes longer than the request.
    return httpx.get(url, timeout=PATIENCE, verify=False)


class Running:
    """A process that was started; `out` and `err` are all that it has printed so far."""

    def __init__(self, process: "subprocess.Popen[str]", out: Path, err: Path) -> None:
        self.process = process
        self._out, self._err = out, err

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def wait_for(self, pattern: str) -> str:
        """The first match in `err`."""

        def look() -> str | None:
            ended = self.process.poll() is not None
            found = re.search(pattern, self.err)
            assert found or not ended, self.err
            return found[0] if found else None

        return wait_until(look, pattern)

    @property
    def url(self) -> str:
        return self.wait_for(r"http://127\.0\.0\.1:\d+(?=/v1)")

    @property
    def log(self) -> list[dict[str, Any]]:
        """`err` when LOG_FORMAT is json."""
        return [json.loads(line) for line in self.err.splitlines()]

    def stop(self, *signals: signal.Signals) -> int:
        """Its exit code after these signals; without any, after SIGTERM."""
        for each in signals or (signal.SIGTERM,):
            self.process.send_signal(each)
        return self.process.wait(PATIENCE)


def _heeding_signals() -> None:
    # Tests that run under nohup, or in the background of a shell, ignore these, and would hand that on.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Place:
    """A home and working directory with nothing in it but what a test puts there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "home"
        self.directory.mkdir()
        self.key_file = self.directory / "lettabot-api.json"
        self._printed = directory
        self._started: list[Running] = []

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        command: Sequence[str] = LETTABOT,
        preexec: Callable[[], None] | None = None,
        stdin: int = subprocess.PIPE,
    ) -> Running:
        count = len(self._started)
        out, err = self._printed / f"{count}.out", self._printed / f"{count}.err"
        with out.open("w") as out_file, err.open("w") as err_file:
            process = subprocess.Popen(
                [*command, *arguments],
                cwd=self.directory,
                env={"PATH": os.environ["PATH"], "HOME": str(self.directory), **environment},
                stdin=stdin,
                stdout=out_file,
                stderr=err_file,
                text=True,
                preexec_fn=preexec or _heeding_signals,
            )
        self._started.append(Running(process, out, err))
        return self._started[-1]

    def serve(self, *arguments: str, command: Sequence[str] = LETTABOT, **environment: str) -> Running:
        """A server on a port of its own that answers."""
        server = self.start(["server", "--port", "0", *arguments], environment, command)
        assert get(f"{server.url}/health").text == "ok"
        return server

    def run(self, *arguments: str, typed: str = "", **environment: str) -> Running:
        """A command that ends by itself."""
        running = self.start(arguments, environment)
        running.process.communicate(typed, timeout=PATIENCE)
        return running

    def clear(self) -> None:
        for running in self._started:
            running.process.kill()
            running.process.communicate()
