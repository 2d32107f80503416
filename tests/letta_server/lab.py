"""A real Letta server with PostgreSQL, Redis and a scripted language model, all on loopback, for as long as a test run.

By hand: `python -m tests.letta_server.lab` starts one and prints its address; Ctrl-C stops it."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.letta_server.install import HERE, installed, postgres_bin
from tests.letta_server.lab_run import by_hand
from tests.letta_server.processes import Processes, answers, free_port, nobody


class LettaLab:
    """`base_url` and `api_key` are for clients of Letta; `stub_log` has a line for each request to the model."""

    def __init__(self, redis: bool = True, password: str | None = None) -> None:
        self.api_key = password
        self.has_redis = redis
        self._cache = installed()
        self._run = Path(tempfile.mkdtemp(prefix="lettabot-lab-"))
        # PostgreSQL refuses to run as root; then it runs as nobody, who must be able to get here.
        self._run.chmod(0o755)
        self._processes = Processes(self._run)
        self._port, self._stub_port, self._pg_port, self._redis_port = (free_port() for _ in range(4))
        self.base_url = f"http://127.0.0.1:{self._port}"
        self.stub_log = self._run / "stub-requests.jsonl"

    def start(self) -> None:
        self._start_postgres()
        if self.has_redis:
            options = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--dir", str(self._run)]
            self._processes.start("redis", ["redis-server", "--port", str(self._redis_port), *options], os.environ)
        stub = [sys.executable, "-m", "tests.letta_server.stub_llm", "--port", str(self._stub_port)]
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE.parent.parent)}
        self._processes.start("stub", [*stub, "--log", str(self.stub_log)], environ)
        self._processes.wait_until("stub", lambda: answers(f"http://127.0.0.1:{self._stub_port}/v1/models"), 60)
        self.start_letta()

    def start_letta(self) -> None:
        letta = [self._cache / "letta" / "bin" / "letta", "server", "--host", "127.0.0.1", "--port", str(self._port)]
        self._processes.start("letta", letta, self._environ())
        self._processes.wait_until("letta", lambda: answers(f"{self.base_url}/v1/health/"), 180)

    def stop_letta(self, sign: signal.Signals = signal.SIGTERM) -> None:
        self._processes.stop("letta", sign)

    def stop(self) -> None:
        for name in ("letta", "stub", "redis"):
            self._processes.stop(name)
        self._processes.stop("postgres", signal.SIGINT)
        shutil.rmtree(self._run, ignore_errors=True)

    def _start_postgres(self) -> None:
        made_by = hashlib.sha256((HERE / "make_tables.py").read_bytes()).hexdigest()[:12]
        template = self._cache / f"pgdata-{made_by}"
        data = self._run / "pgdata"
        made = template.exists()
        if made:
            shutil.copytree(template, data, symlinks=True)
        else:
            data.mkdir()
        if os.geteuid() == 0:
            for path in (data, *data.rglob("*")):
                shutil.chown(path, "nobody", "nogroup")
        if not made:
            self._as_nobody("initdb", "-D", str(data), "-U", "letta", "-A", "trust", "-E", "UTF8", "--no-locale")
        command = [self._bin("postgres"), "-D", data, "-h", "127.0.0.1", "-p", str(self._pg_port), "-k", data]
        self._processes.start("postgres", command, {"HOME": "/"}, as_nobody=True)
        self._processes.wait_until("postgres", lambda: self._as_nobody("pg_isready", *self._where(), check=False), 60)
        if not made:
            self._as_nobody("createdb", *self._where(), "-U", "letta", "letta")
            python = self._cache / "letta" / "bin" / "python"
            subprocess.run([python, HERE / "make_tables.py"], env=self._environ(), check=True, capture_output=True)
            self._keep_as_template(data, template)

    def _keep_as_template(self, data: Path, template: Path) -> None:
        self._processes.stop("postgres", signal.SIGINT)
        unfinished = template.with_name(f"{template.name}-{os.getpid()}")
        shutil.copytree(data, unfinished, symlinks=True)
        try:
            unfinished.rename(template)
        except OSError:  # another run was quicker
            shutil.rmtree(unfinished)
        shutil.rmtree(data)
        self._start_postgres()

    def _where(self) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self._pg_port)]

    def _bin(self, name: str) -> Path:
        return postgres_bin(self._cache) / name

    def _as_nobody(self, name: str, *arguments: str, check: bool = True) -> bool:
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            [str(self._bin(name)), *arguments],
            env={"HOME": "/"},
            cwd="/",
            check=check,
            capture_output=True,
            **nobody(),
        )
        return done.returncode == 0

    def _environ(self) -> dict[str, str]:
        home = self._run / "home"
        tools = self._run / "tools"
        for directory in (home, tools):
            directory.mkdir(exist_ok=True)
        environ = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "LETTA_DIR": str(home / ".letta"),
            "TOOL_EXEC_DIR": str(tools),
            "LETTA_PG_URI": f"postgresql://letta:letta@127.0.0.1:{self._pg_port}/letta",
            "OPENAI_API_BASE": f"http://127.0.0.1:{self._stub_port}/v1",
            "OPENAI_API_KEY": "stub-key",
            "LETTA_DISABLE_TRACING": "true",
            "DO_NOT_TRACK": "1",
        }
        if self.has_redis:
            environ |= {"LETTA_REDIS_HOST": "127.0.0.1", "LETTA_REDIS_PORT": str(self._redis_port)}
        if self.api_key:
            environ |= {"LETTA_SERVER_SECURE": "true", "LETTA_SERVER_PASSWORD": self.api_key}
        return environ


if __name__ == "__main__":
    lab = LettaLab()
    by_hand(lab, lambda: f"LETTA_BASE_URL={lab.base_url}")
