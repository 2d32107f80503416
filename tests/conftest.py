"""What every test shares."""

import os

import pytest
from hypothesis import settings

from tests.examples import examples

settings.register_profile("fuzz", max_examples=examples(100), deadline=None)
if os.environ.get("HYPOTHESIS_PROFILE") == "fuzz":
    settings.load_profile("fuzz")

pytest.register_assert_rewrite("tests.contract.agent_gateway")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs PostgreSQL is left to `make test-state`."""
    for item in items:
        if isinstance(item, pytest.Function) and "postgres" in item.fixturenames:
            item.add_marker(pytest.mark.state)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests (`@pytest.mark.anyio`) run on asyncio, as the service does."""
    return "asyncio"
