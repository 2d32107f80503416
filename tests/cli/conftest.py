"""Places for `lettabot` to run in, and a client for its servers."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import httpx
import pytest
import structlog
from click.testing import CliRunner, Result

from entrypoints.cli.commands import main
from tests.cli.processes import PATIENCE, Place, Running

KEY = "the-key-of-this-test"


class Lettabot(Protocol):
    """Runs a command; `typed` is what is typed into it, the rest is its environment."""

    def __call__(self, *arguments: str, typed: str = "", **environment: str) -> Result: ...


@pytest.fixture
def lettabot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lettabot]:
    """In this process, in a new directory that is its home, with nothing configured."""
    for name in set(os.environ) - {"PATH", "TMPDIR"}:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, typed: str = "", **environment: str) -> Result:
        result = CliRunner().invoke(main, arguments, input=typed, env=environment, prog_name="lettabot")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    root = logging.getLogger()
    before = root.level, [*root.handlers]
    yield run
    # A server configures its log, in this process.
    structlog.reset_defaults()
    root.level, root.handlers = before


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("place"))
    yield place
    place.clear()


@pytest.fixture(scope="module")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """For a process that several tests look at."""
    place = Place(tmp_path_factory.mktemp("shared"))
    yield place
    place.clear()


def client_of(server: Running, key: str = KEY) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=server.url, headers=headers, timeout=PATIENCE, verify=False)


def question(text: str, **more: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}], **more}
