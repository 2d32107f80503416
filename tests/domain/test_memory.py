"""What turns leave behind in memory: the garbage collector is told not to look often (entrypoints/server.py)."""

import gc

import pytest

from tests.fakes.gateway import FakeGateway
from tests.fakes.services import Client, turns_of

pytestmark = pytest.mark.anyio


async def test_turns_leave_no_cycles_behind() -> None:
    client = Client(turns_of(FakeGateway()))
    gc.collect()
    gc.disable()
    try:
        for number in range(100):
            await client.ask(str(number)).text()
        # With it goes all that is kept of these turns.
        del client
        assert gc.collect() < 100
    finally:
        gc.enable()
