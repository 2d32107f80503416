"""The job queues, in memory and on DBOS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from adapters.dbos import job_queue
from adapters.dbos.job_queue import DbosJobQueue
from adapters.locks.file import FileLocks
from adapters.memory import job_queue as memory_job_queue
from adapters.memory.job_queue import MemoryJobQueue
from adapters.sql.locks import PostgresLocks
from domain.model.failures import FailureError
from domain.services.liveness import Liveness
from ports.job_queue import JobQueue
from tests.contract.job_queue import JobQueueContract, Worker, until
from tests.postgres.server import PostgresServer

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (job_queue, memory_job_queue):
        monkeypatch.setattr(module, "AFTER_MISTAKE", 0.1)


@asynccontextmanager
async def served(queue: JobQueue) -> AsyncIterator[JobQueue]:
    """As the service does: it recovers what nobody works on, again and again."""

    async def recover() -> None:
        while True:
            with suppress(FailureError):
                await queue.recover()
            await asyncio.sleep(0.3)

    recovering = asyncio.create_task(recover())
    yield queue
    recovering.cancel()
    await queue.close()


class TestMemory(JobQueueContract):
    @pytest.fixture
    async def queue(self) -> AsyncIterator[JobQueue]:
        async with served(MemoryJobQueue()) as queue:
            yield queue


@pytest.mark.state
class TestDbosOnSqlite(JobQueueContract):
    @pytest.fixture
    async def queue(self, file: Path) -> AsyncIterator[JobQueue]:
        locks = FileLocks(file.with_suffix(".lock"))
        async with served(DbosJobQueue(f"sqlite:///{file}", locks, Liveness(locks))) as queue:
            yield queue


class TestDbosOnPostgresql(JobQueueContract):
    @pytest.fixture
    async def queue(self, postgres: PostgresServer) -> AsyncIterator[JobQueue]:
        url = postgres.new_database()
        locks = PostgresLocks(url)
        async with served(DbosJobQueue(url, locks, Liveness(locks))) as queue:
            yield queue
        await locks.close()


@pytest.mark.state
async def test_a_restart_goes_on_with_what_was_not_done(file: Path) -> None:
    url, locks = f"sqlite:///{file}", FileLocks(file.with_suffix(".lock"))
    first, second = DbosJobQueue(url, locks, Liveness(locks)), DbosJobQueue(url, locks, Liveness(locks))
    before, after = Worker(), Worker()
    first.serve(before.work)
    before.pauses["a 1"] = [3600.0]
    for task in ("a 1", "a 2", "b 1"):
        await first.put(task, task[0])
    await until(lambda: before.done == ["b 1"] and before.begun.count("a 1") == 1)
    # What was done is known to be done a moment later.
    await asyncio.sleep(1)
    await first.close()
    second.serve(after.work)
    await second.put("c 1", "c")
    await until(lambda: "c 1" in after.done)
    assert "b 1" not in after.begun
    await second.close()


@pytest.mark.state
async def test_a_state_that_comes_later(tmp_path: Path) -> None:
    locks = FileLocks(tmp_path / "locks")
    queue, worker = DbosJobQueue(f"sqlite:///{tmp_path / 'later' / 'state.sqlite'}", locks, Liveness(locks)), Worker()
    queue.serve(worker.work)
    for _ in range(2):
        with pytest.raises(FailureError):
            await queue.put("task", "lane")
        assert await locks.is_free("lettabot-0")
    (tmp_path / "later").mkdir()
    await queue.put("task", "lane")
    await until(lambda: worker.done == ["task"])
    await queue.close()


@pytest.mark.state
async def test_what_is_aside_is_in_nobodys_way(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_queue, "_AT_ONCE", 2)
    locks = FileLocks(file.with_suffix(".lock"))
    queue, worker = DbosJobQueue(f"sqlite:///{file}", locks, Liveness(locks)), Worker()
    queue.serve(worker.work)
    for number in range(4):
        worker.pauses[f"call {number}"] = [3600.0]
        await queue.put(f"call {number}", f"call {number}", background=True)
    await until(lambda: len(worker.begun) == 4)
    await queue.put("task", "lane")
    await until(lambda: worker.done == ["task"])
    await queue.close()
