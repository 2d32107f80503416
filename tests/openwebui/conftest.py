"""Chromium, Open WebUI, lettabot, Letta and a scripted language model, one before the other: all real but the last."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.letta_server import conftest as letta_server
from tests.letta_server.conftest import KEY, Service
from tests.openwebui.install import OpenWebUIUnavailableError, chromium
from tests.openwebui.lab import EMAIL, PASSWORD, OpenWebUI

# The same Letta server and service as in the tests next door.
lab, admin, service = letta_server.lab, letta_server.admin, letta_server.service

PERSON = Path(__file__).with_name("person.py")


class Browser:
    """A person at Open WebUI (person.py), in a process of its own. Each call returns what is on the page then."""

    def __init__(self, web: OpenWebUI, shots: Path) -> None:
        self._shots = shots
        self._process = subprocess.Popen(
            [str(web.python), str(PERSON), chromium(), web.url, EMAIL, PASSWORD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def do(self, what: str, **more: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def shot(self, name: str) -> None:
        self.do("shot", path=str(self._shots / f"{name}.png"))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the browser has ended"
        seen: dict[str, Any] = json.loads(line)
        assert "error" not in seen, seen["error"]
        return seen


@pytest.fixture(scope="session")
def web(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenWebUI]:
    try:
        chromium()
    except OpenWebUIUnavailableError as error:
        pytest.skip(f"NO BROWSER: {error}")
    web = OpenWebUI(tmp_path_factory.mktemp("openwebui"), f"{service.url}/v1", KEY)
    web.start()
    yield web
    web.stop()


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go; set SCREENSHOTS to look at them."""
    place = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    place.mkdir(parents=True, exist_ok=True)
    return place
