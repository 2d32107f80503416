"""One real Letta server for the whole run, and the service in front of it as a process of its own."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.letta_server.admin import LettaAdmin
from tests.letta_server.lab import LettaLab
from tests.letta_server.lab_run import for_test_run
from tests.letta_server.processes import Processes, answers, free_port

KEY = "letta-test-key"


class Service:
    """`lettabot server`, and clients that carry its key."""

    def __init__(
        self,
        directory: Path,
        letta_url: str,
        letta_key: str | None = None,
        config: str = "",
        options: Sequence[str] = (),
    ) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._processes = Processes(directory)
        self._options = options
        self._environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "HOME": str(directory),
            "DATA_DIR": str(directory),
            "LETTABOT_API_KEY": KEY,
            "LETTA_BASE_URL": letta_url,
            "LETTA_API_KEY": letta_key or "",
            "LOG_FORMAT": "json",
            "LETTABOT_CONFIG_YAML": config,
        }
        self.start()
        self.log = directory / "lettabot.log"
        self.http = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)
        self.openai = OpenAI(base_url=f"{self.url}/v1", api_key=KEY)

    def start(self) -> None:
        command = [sys.executable, "-m", "entrypoints.cli", "server", "--port", self.url.rpartition(":")[2]]
        command += self._options
        self._processes.start("lettabot", command, self._environ)
        self._processes.wait_until("lettabot", lambda: answers(f"{self.url}/health"), 30)

    def kill(self) -> None:
        """As a crash does."""
        self._processes.stop("lettabot", signal.SIGKILL)

    def stop(self) -> None:
        self.http.close()
        self.openai.close()
        self._processes.stop("lettabot", signal.SIGTERM)

    def ask(self, model: str, text: str) -> str:
        answer = self.openai.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])
        return answer.choices[0].message.content or ""

    def post(self, model: str, text: Any, stream: bool = False, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post("/v1/chat/completions", json=question(model, text, stream), headers=named)

    def hang_up_after(self, seconds: float, model: str, text: str) -> None:
        """Asks for a stream, and closes the connection in the middle of it."""
        with self.http.stream("POST", "/v1/chat/completions", json=question(model, text, stream=True)) as answer:
            assert answer.status_code == 200
            time.sleep(seconds)


def question(model: str, text: Any, stream: bool = False) -> dict[str, Any]:
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}


@pytest.fixture(scope="session")
def lab() -> Iterator[LettaLab]:
    yield from for_test_run(LettaLab, "REAL LETTA SERVER")


@pytest.fixture(scope="session")
def lab_without_redis(lab: LettaLab) -> Iterator[LettaLab]:
    """Beside the other one, which has told whether there can be one here."""
    without = LettaLab(redis=False)
    try:
        without.start()
        yield without
    finally:
        without.stop()


@pytest.fixture(scope="session")
def admin(lab: LettaLab) -> LettaAdmin:
    return LettaAdmin(lab.base_url)


@pytest.fixture(scope="session")
def service(lab: LettaLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("service"), lab.base_url)
    yield service
    service.stop()


def eventually(condition: Callable[[], bool], patience: float = 30.0) -> None:
    """Poll a callable until it is true."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.2)
