"""Real server processes, and the interpreters of the clients that are tried against them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.fake_letta import FakeLetta
from tests.cli.processes import Place, Running

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / ".venv" / "clients"
KEY = "the-key-of-the-clients"


def serving(directory: Path, **environment: str) -> Iterator[Running]:
    """A server process on a port of its own, in a directory of its own. It has to end well when it is told to."""
    place = Place(directory)
    try:
        server = place.serve(LETTABOT_API_KEY=KEY, LOG_FORMAT="json", **environment)
        yield server
        assert server.stop() == 0
    finally:
        place.clear()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    """With nothing configured: the embedded agent, and an empty notebook."""
    yield from serving(tmp_path)


@pytest.fixture
def letta() -> Iterator[FakeLetta]:
    with FakeLetta() as letta:
        yield letta


@pytest.fixture
def server_before_letta(tmp_path: Path, letta: FakeLetta) -> Iterator[Running]:
    yield from serving(tmp_path, LETTA_BASE_URL=letta.url)


def installed(program: Path) -> Path:
    """That program; without it the test is skipped, but never in CI."""
    if not program.exists():
        assert not os.environ.get("CI"), f"{program} is missing; run: bash tests/clients/install.sh"
        pytest.skip("NOT TRIED: the OpenAI clients are not installed; run: bash tests/clients/install.sh")
    return program
