"""Notices between processes: on the sockets of workers, and through PostgreSQL."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from adapters.sql.notices import PostgresNotices
from adapters.sql.state import State
from adapters.workers.notices import WorkerNotices
from ports.notices import Notices
from tests.postgres.server import PostgresServer

pytestmark = pytest.mark.anyio


class NoticesContract:
    """Subclass it with a fixture `three`: of three processes."""

    async def test_all_others_hear_it(self, three: list[Notices]) -> None:
        heard: list[list[str]] = [[], [], []]
        for notices, mine in zip(three, heard, strict=True):
            notices.listen(mine.append)
        async with asyncio.timeout(20):
            while not (heard[1] and heard[2]):
                # What is told before somebody listens is lost.
                three[0].tell("lane 1234")
                await asyncio.sleep(0.05)
        assert set(heard[1]) == set(heard[2]) == {"lane 1234"}

    async def test_nobody_has_to_listen(self, three: list[Notices]) -> None:
        for _ in range(5000):
            three[0].tell("lane 1234")
        await asyncio.sleep(0)


class TestWorkers(NoticesContract):
    @pytest.fixture
    async def three(self) -> AsyncIterator[list[Notices]]:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(3)]
        all_ = [
            WorkerNotices(own, [pairs[other][1] for other in range(3) if other != number])
            for number, (own, _) in enumerate(pairs)
        ]
        yield [*all_]
        for each in all_:
            await each.close()
        for pair in pairs:
            for end in pair:
                end.close()


class TestPostgresql(NoticesContract):
    @pytest.fixture
    async def three(self, postgres: PostgresServer) -> AsyncIterator[list[Notices]]:
        url = postgres.new_database()
        states = [State(url) for _ in range(3)]
        all_ = [PostgresNotices(url, state) for state in states]
        yield [*all_]
        for each in all_:
            await each.close()
        for state in states:
            await state.close()
