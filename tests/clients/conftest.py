"""A real server process, and the interpreters of the clients that are tried against it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.processes import Place, Running

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / ".venv" / "clients"
KEY = "the-key-of-the-clients"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    place = Place(tmp_path_factory.mktemp("clients"))
    server = place.serve(LETTABOT_API_KEY=KEY, LOG_FORMAT="json")
    try:
        yield server
        assert server.stop() == 0
    finally:
        place.clear()


def installed(program: Path) -> Path:
    """That program; without it the test is skipped, but never in CI."""
    if not program.exists():
        assert not os.environ.get("CI"), f"{program} is missing"
        pytest.skip("NOT TRIED: the OpenAI clients are not installed; run: bash tests/clients/install.sh")
    return program
