"""What tests of the state share."""

from collections.abc import Iterator

import pytest

from tests.postgres.server import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest) -> Iterator[str]:
    """For `Service`: SQLite, or a PostgreSQL server that nobody else uses."""
    if request.param == "sqlite":
        yield ""
        return
    server = PostgresServer()
    server.start()
    yield server.new_database()
    server.remove()
