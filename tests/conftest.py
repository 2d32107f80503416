"""What every test shares."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.examples import examples
from tests.postgres.server import PostgresServer

# No test fails because the machine is slow today.
settings.register_profile("usual", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fuzz", settings.get_profile("usual"), max_examples=examples(100))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))

pytest.register_assert_rewrite("ports.contract")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs PostgreSQL is left to `make test-state`."""
    for item in items:
        if isinstance(item, pytest.Function) and "postgres" in item.fixturenames:
            item.add_marker(pytest.mark.state)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real server, which no test stops: whoever does that starts one of its own."""
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests (`@pytest.mark.anyio`) run on asyncio, as the service does."""
    return "asyncio"
