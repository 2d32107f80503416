"""Places for `lettabot` to run in, and a client for its servers."""

from collections.abc import Iterator

import httpx
import pytest

from tests.cli.processes import PATIENCE, Place, Running

KEY = "the-key-of-this-test"


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
    return httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE)


def question(text: str, **more: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}], **more}
