"""The disk is full for some seconds, in the middle of each step of a job. Afterwards nothing is stuck, each message was
delivered once, in order."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adapters.dbos import job_queue
from adapters.dbos.job_queue import DbosJobQueue
from adapters.letta.client import letta_client
from adapters.letta.gateway import LettaGateway
from adapters.locks.file import FileLocks
from adapters.sql.lazy_stores import lazy_job_store, lazy_turn_store
from adapters.sql.locks import PostgresLocks
from adapters.sql.state import State
from domain.model.agent import Agent
from domain.model.api_key import ApiKey, Caller
from domain.model.failures import FailureError
from domain.model.job import Job, JobState
from domain.services import eventual_write, job_pause
from domain.services.api_keys import ApiKeys
from domain.services.jobs import new_job_id
from domain.services.liveness import Liveness
from ports.process_locks import ProcessLocks
from tests.contract.job_queue import until
from tests.fakes.key_store import FakeNamedKeyStore
from tests.fakes.services import jobs_of, turns_of
from tests.postgres.server import PostgresServer
from tests.state.faults import Disk, Write
from tests.state.letta import AGENTS, CountingLetta

pytestmark = [pytest.mark.state, pytest.mark.anyio]

ANNA = Agent(next(iter(AGENTS)), "anna", 0)
KEPT_FOR = 3600.0
# Seconds.
FULL_FOR = 1.5
PATIENCE = 60.0

STEPS = {
    "accepted": Write("lettabot_jobs", "INSERT"),
    "what is left of it": Write("lettabot_open_jobs", "INSERT"),
    "queued": Write("workflow_status", "INSERT", "NEW.workflow_uuid LIKE 'job_%'"),
    "its name queued": Write("workflow_input", "INSERT"),
    "taken from the queue": Write("workflow_status", "UPDATE", "NEW.status = 'PENDING'"),
    "begun": Write("lettabot_jobs", "UPDATE", "NEW.state = 'running'"),
    "in the turn store": Write("lettabot_turns", "INSERT"),
    "its run noted": Write("lettabot_turns", "UPDATE", "NEW.run_id IS NOT NULL AND NEW.ended_at IS NULL"),
    "its turn ended": Write("lettabot_turns", "UPDATE", "NEW.ended_at IS NOT NULL"),
    "ended": Write("lettabot_jobs", "UPDATE", "NEW.state = 'completed'"),
    "its message forgotten": Write("lettabot_open_jobs", "UPDATE"),
    "its callback queued": Write("workflow_status", "INSERT", "NEW.workflow_uuid LIKE 'callback%'"),
    "its callback called": Write("lettabot_jobs", "UPDATE", "NOT NEW.open"),
    "forgotten": Write("lettabot_open_jobs", "DELETE"),
    "done, for the engine": Write("workflow_status", "UPDATE", "NEW.status = 'SUCCESS'"),
    "what it led to, for the engine": Write("workflow_output", "INSERT"),
    "all of the engine's": Write("workflow_status", "UPDATE"),
    "all of the jobs": Write("lettabot_jobs", "UPDATE"),
    "all of the turn store": Write("lettabot_turns", "UPDATE"),
}


class FakeCallbacks:
    """They are taken at once."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def call(self, job: Job, secret: str) -> bool:
        self.told.append(job.id)
        return True


class House:
    """All that carries out jobs, on a real state, before a Letta that counts."""

    def __init__(self, url: str, locks: ProcessLocks, letta: CountingLetta) -> None:
        self.letta = letta
        self.disk = Disk(url)
        self.callbacks = FakeCallbacks()
        self.accepted: dict[str, str] = {}
        self._locks = locks
        self._state = State(url)
        self._store = lazy_job_store(self._state, KEPT_FOR)
        self._queue = DbosJobQueue(url, locks, Liveness(locks))
        self._gateway = LettaGateway(letta_client(letta.url, None))
        self.turns = turns_of(self._gateway, turn_store=lazy_turn_store(self._state, KEPT_FOR))
        keys = ApiKeys(ApiKey(b"key"), FakeNamedKeyStore())
        self.jobs = jobs_of(self._store, self._queue, self.turns, self.callbacks, keys)
        self._looking = asyncio.create_task(self._look())

    async def leave(self, text: str) -> Job:
        """Again and again, as a client does that is told to come back."""
        job = Job(
            id=new_job_id(),
            owner="",
            agent=ANNA,
            model="anna",
            body=text.encode(),
            key=text,
            made_at=time.time(),
            callback_url="https://example.org",
        )
        while True:
            try:
                kept = await self.jobs.accept(job, text, is_retry=False)
            except FailureError:
                await asyncio.sleep(0.2)
            else:
                self.accepted[text] = kept.id
                return kept

    async def find(self, job_id: str) -> Job:
        found = await self._store.find(job_id)
        assert found is not None
        return found

    async def nothing_left(self) -> None:
        """Also for the engine."""
        deadline = time.monotonic() + PATIENCE
        while True:
            left = [job.id for job in await self._store.open()]
            undone = {task: status for task, status in self.disk.tasks().items() if status not in ("SUCCESS", "ERROR")}
            if not left and not undone:
                return
            assert time.monotonic() < deadline, f"stuck: {left}, {undone}"
            await asyncio.sleep(0.1)

    async def close(self) -> None:
        self._looking.cancel()
        await self.turns.shut_down()
        await self._queue.close()
        await self._gateway.close()
        await self._locks.close()
        await self._state.close()
        self.disk.close()

    async def _look(self) -> None:
        """As entrypoints/service.py does."""
        while True:
            with contextlib.suppress(FailureError):
                await self.jobs.recover()
            await asyncio.sleep(0.5)


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_pause, "AWAY_PAUSE", 0.5)
    monkeypatch.setattr(eventual_write, "TRY_EVERY", 0.5)
    monkeypatch.setattr(job_queue, "_POLL_EVERY", 0.2)


@pytest.fixture
def letta() -> Iterator[CountingLetta]:
    letta = CountingLetta()
    letta.start()
    yield letta
    letta.stop()


@pytest.fixture(params=["SQLite", "PostgreSQL"])
async def house(request: pytest.FixtureRequest, tmp_path: Path, letta: CountingLetta) -> AsyncIterator[House]:
    if request.param == "SQLite":
        url = f"sqlite:///{tmp_path / 'state.sqlite'}"
        locks: ProcessLocks = FileLocks(tmp_path / "locks")
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.new_database()
        locks = PostgresLocks(url)
    house = House(url, locks, letta)
    # So that all tables are there.
    await house.leave("first of all")
    await house.nothing_left()
    yield house
    await house.close()


@pytest.mark.parametrize("step", STEPS)
async def test_a_write_that_fails_for_a_while(house: House, letta: CountingLetta, step: str) -> None:
    texts = [f"message {number}" for number in range(3)]

    async def leave_all() -> None:
        for text in texts:
            await house.leave(text)

    async with house.disk.full_for(STEPS[step]):
        leaving = asyncio.create_task(leave_all())
        await asyncio.sleep(FULL_FOR)
    await leaving
    await house.nothing_left()
    for text in texts:
        job = await house.find(house.accepted[text])
        assert (job.state, job.response) == (JobState.COMPLETED, f"Done: {text}")
        assert job.id in house.callbacks.told
    assert Counter(letta.texts) == Counter(["first of all", *texts])
    assert letta.texts[1:] == texts


async def test_a_job_whose_end_cannot_be_written_can_be_cancelled(house: House, letta: CountingLetta) -> None:
    async with house.disk.full_for(STEPS["ended"]):
        job = await house.leave("hello")
        await until(lambda: "hello" in letta.texts)
        await asyncio.sleep(FULL_FOR)
        cancelled = await house.jobs.cancel(job.id, Caller())
        assert cancelled is not None
        assert cancelled.cancelling
    await house.leave("and on")
    await house.nothing_left()
    assert (await house.find(job.id)).finished
    assert letta.texts == ["first of all", "hello", "and on"]
