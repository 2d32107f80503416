"""What the tests of settings share."""

from pathlib import Path

import pytest

from tests.settings.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)
