"""Locks between processes: what all of them must do, and that the death of a process frees them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.locks.file import FileLocks
from adapters.sql.locks import PostgresLocks
from domain.model.failure_table import FailureCode
from domain.model.failures import FailureError
from ports.process_locks import ProcessLocks
from tests.postgres.server import PostgresServer

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
HOLDER = """
import asyncio, sys
from pathlib import Path
from adapters.locks.file import FileLocks
from adapters.sql.locks import PostgresLocks

async def main():
    place = sys.argv[1]
    locks = PostgresLocks(place) if "://" in place else FileLocks(Path(place))
    print(await locks.acquire("ours"), await locks.acquire("theirs"), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def process_with_locks(place: str) -> "subprocess.Popen[str]":
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", HOLDER, place], env=environ, stdout=subprocess.PIPE, text=True)


class ProcessLocksContract:
    """With fixtures `locks` and `place`: the latter is what another process needs to find them."""

    async def test_a_lock_is_taken_once(self, locks: ProcessLocks) -> None:
        assert await locks.acquire("a")
        assert not await locks.acquire("a")
        assert await locks.acquire("b")
        await locks.release("a")
        await locks.release("never taken")
        assert await locks.acquire("a")
        assert not await locks.acquire("b")

    async def test_another_process_has_to_wait_until_this_one_gives_it_back(
        self, locks: ProcessLocks, place: str
    ) -> None:
        assert await locks.acquire("ours")
        holder = process_with_locks(place)
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "False True"
        assert not await locks.acquire("theirs")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        for _ in range(50):
            if await locks.acquire("theirs"):
                break
        else:
            pytest.fail("the death of a process did not free its lock")


class TestFile(ProcessLocksContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> str:
        return str(tmp_path / "locks")

    @pytest.fixture
    async def locks(self, place: str) -> AsyncIterator[ProcessLocks]:
        locks = FileLocks(Path(place))
        yield locks
        await locks.close()


class TestPostgresql(ProcessLocksContract):
    @pytest.fixture
    def place(self, postgres: PostgresServer) -> str:
        return postgres.new_database()

    @pytest.fixture
    async def locks(self, place: str) -> AsyncIterator[ProcessLocks]:
        locks = PostgresLocks(place)
        yield locks
        await locks.close()


async def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FailureError) as raised:
        await FileLocks(tmp_path / "nowhere" / "locks").acquire("a")
    assert raised.value.failure.code is FailureCode.STATE_UNAVAILABLE


@pytest.mark.state
async def test_locks_outlive_a_restart_of_the_database() -> None:
    server = PostgresServer()
    server.start()
    url = server.new_database()
    locks, others = PostgresLocks(url), PostgresLocks(url)
    assert await locks.acquire("a")
    server.stop()
    with pytest.raises(FailureError) as raised:
        await locks.acquire("b")
    assert raised.value.failure.code is FailureCode.STATE_UNAVAILABLE
    server.start()
    await asyncio.sleep(2)
    assert not await others.acquire("a")
    assert await others.acquire("b")
    await locks.release("a")
    assert await others.acquire("a")
    await locks.close()
    await others.close()
    server.remove()
