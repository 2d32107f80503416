"""States for the contracts: a file, and a database of a real PostgreSQL server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.sql.state import State
from tests.postgres.server import PostgresServer


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


@pytest.fixture
async def sqlite_state(file: Path) -> AsyncIterator[State]:
    state = State(f"sqlite:///{file}")
    yield state
    await state.close()


@pytest.fixture
async def other_state(file: Path) -> AsyncIterator[State]:
    """Of another process that uses the same file."""
    state = State(f"sqlite:///{file}")
    yield state
    await state.close()


@pytest.fixture
async def postgres_state(postgres: PostgresServer) -> AsyncIterator[State]:
    state = State(postgres.new_database())
    yield state
    await state.close()
