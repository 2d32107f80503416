"""A place for the real service."""

from collections.abc import Iterator

import pytest

from tests.cli.processes import Place


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("place"))
    yield place
    place.clear()
