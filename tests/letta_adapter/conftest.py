"""A replayed Letta server, and the gateway in front of it."""

from collections.abc import AsyncIterator

import pytest

from adapters.letta.gateway import LettaGateway, letta_client
from tests.letta_adapter.replay import ReplayLetta


@pytest.fixture
async def letta() -> AsyncIterator[ReplayLetta]:
    async with ReplayLetta().serving() as letta:
        yield letta


@pytest.fixture
async def gateway(letta: ReplayLetta) -> AsyncIterator[LettaGateway]:
    gateway = LettaGateway(letta_client(letta.url, None))
    yield gateway
    await gateway.close()
