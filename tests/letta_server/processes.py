"""Starts helper processes that die with the test run, and stops them: by PID, and only its own."""

import ctypes
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: with them, root may read and write everything.
_OVERRIDES = (1, 2)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert isinstance(port, int)
    return port


class Processes:
    """Named processes; what they print goes to NAME.log in `logs`."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[object], environ: Mapping[str, str], as_nobody: bool = False) -> None:
        """Even as root it can only do what the permissions of files allow."""
        with (self._logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(environ),
                cwd=self._logs,
                start_new_session=True,
                preexec_fn=partial(_die_with_parent_and_obey, os.getpid()),
                **(nobody() if as_nobody else {}),
            )

    def stop(self, name: str, sign: signal.Signals = signal.SIGTERM, patience: float = 15.0) -> None:
        process = self._running.pop(name, None)
        if process is None or process.poll() is not None:
            return
        process.send_signal(sign)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def wait_until(self, name: str, ready: Callable[[], bool], patience: float) -> None:
        """Poll until it is ready; raises with the end of its log when it ends or takes too long."""
        deadline = time.monotonic() + patience
        while not ready():
            if self._running[name].poll() is not None or time.monotonic() > deadline:
                tail = (self._logs / f"{name}.log").read_text(errors="replace")[-3000:]
                raise RuntimeError(f"{name} did not come up; the end of its log:\n{tail}")
            time.sleep(0.1)


def nobody() -> dict[str, Any]:
    """Options of subprocess for a program that refuses to run as root; none for everybody else."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def answers(url: str) -> bool:
    """Whether anything at all answers with HTTP."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _die_with_parent_and_obey(parent: int) -> None:
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    for capability in _OVERRIDES:
        prctl(_PR_CAPBSET_DROP, capability)
    if os.getppid() != parent:
        os._exit(1)
