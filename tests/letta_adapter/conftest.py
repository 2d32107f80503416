"""A replayed Letta server, and the gateway in front of it."""

from collections.abc import AsyncIterator

import pytest

from adapters.letta.client import letta_client
from adapters.letta.gateway import LettaGateway
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


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at a run follow each other at once, and there are fewer of them."""
    for name, seconds in {
        "FIRST_PAUSE": 0.01,
        "LONGEST_PAUSE": 0.05,
        "SEEN_WITHIN": 0.3,
        "CONFIRMED_WITHIN": 0.1,
    }.items():
        monkeypatch.setattr(f"domain.services.answer_recovery.{name}", seconds)
    monkeypatch.setattr(LettaGateway, "stop_recorded_within", 0.02)
