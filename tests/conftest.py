"""What every test shares."""

import pytest

pytest.register_assert_rewrite("tests.contract.agent_gateway")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests (`@pytest.mark.anyio`) run on asyncio, as the service does."""
    return "asyncio"
