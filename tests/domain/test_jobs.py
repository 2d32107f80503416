"""Jobs on a state that fails, in virtual time. What clients of jobs get: tests/http/test_jobs.py."""

import asyncio
import time
from collections.abc import Callable

import pytest

from adapters.memory.job_queue import MemoryJobQueue
from adapters.memory.job_store import MemoryJobStore
from domain.model.api_key import ApiKey
from domain.model.failures import FailureError
from domain.model.job import Job, JobRules, JobState
from domain.services.api_keys import ApiKeys
from domain.services.jobs import Jobs, new_job_id
from ports.job_queue import JobQueue
from ports.job_store import JobStore
from tests.fakes.gateway import ANNA, FakeGateway
from tests.fakes.key_store import FakeNamedKeyStore
from tests.fakes.services import jobs_of, turns_of
from tests.fakes.turn_store import BROKEN

pytestmark = pytest.mark.anyio


class StoreThatLosesReplies(MemoryJobStore):
    """`loses`: it adds jobs, and cannot say so. `stuck`: nothing can be changed, which it says."""

    loses = False
    stuck = False

    async def add(self, job: Job, message: str, rules: JobRules) -> Job:
        kept = await super().add(job, message, rules)
        if self.loses:
            raise FailureError(BROKEN)
        return kept

    async def change(self, job_id: str, step: Callable[[Job], Job]) -> Job | None:
        if self.stuck:
            raise FailureError(BROKEN)
        return await super().change(job_id, step)


class NoCallbacks:
    """Nobody takes them."""

    async def call(self, job: Job, secret: str) -> bool:
        return False


def a_job(text: str, key: str | None = None) -> Job:
    return Job(id=new_job_id(), owner="", agent=ANNA, model="anna", body=text.encode(), key=key, made_at=time.time())


def _jobs_of(store: JobStore, queue: JobQueue, gateway: FakeGateway) -> Jobs:
    keys = ApiKeys(ApiKey(b"key"), FakeNamedKeyStore())
    return jobs_of(store, queue, turns_of(gateway), NoCallbacks(), keys)


async def test_what_was_refused_is_not_delivered_even_if_it_was_written() -> None:
    store, gateway = StoreThatLosesReplies(), FakeGateway()
    jobs = _jobs_of(store, MemoryJobQueue(), gateway)
    store.loses = True
    refused = a_job("hello")
    with pytest.raises(FailureError):
        await jobs.accept(refused, "hello", is_retry=False)
    await jobs.recover()
    store.loses = False
    accepted = await jobs.accept(a_job("hello"), "hello", is_retry=False)
    await asyncio.sleep(60)
    await jobs.recover()
    await asyncio.sleep(60)
    states = [(await store.find(job.id) or job).state for job in (refused, accepted)]
    assert states == [JobState.CANCELLED, JobState.COMPLETED]
    assert gateway.heard == ["hello"]


@pytest.mark.parametrize("key", ["a promise", None])
@pytest.mark.parametrize("taken_back", [True, False])
@pytest.mark.parametrize("elsewhere", [True, False])
async def test_a_retry_of_what_was_refused_is_delivered(key: str | None, taken_back: bool, elsewhere: bool) -> None:
    """Even if it finds what was written before that is taken back."""
    store, gateway = StoreThatLosesReplies(), FakeGateway()
    queue = MemoryJobQueue()
    jobs, others = (_jobs_of(store, queue, gateway) for _ in range(2))
    store.loses, store.stuck = True, not taken_back
    with pytest.raises(FailureError):
        await jobs.accept(a_job("hello", key), "hello", is_retry=False)
    await asyncio.sleep(1)
    store.loses = store.stuck = False
    accepted = await (others if elsewhere else jobs).accept(a_job("hello", key), "hello", is_retry=True)
    for _ in range(3):
        await asyncio.sleep(60)
        await jobs.recover()
    assert (await store.find(accepted.id) or accepted).state is JobState.COMPLETED
    assert gateway.heard == ["hello"]


class QueueThatIsAway(MemoryJobQueue):
    """`is_away`: nothing can be put into it."""

    is_away = False

    async def put(self, task: str, lane: str, background: bool = False) -> None:
        if self.is_away:
            raise FailureError(BROKEN)
        await super().put(task, lane, background)


async def test_no_job_overtakes_one_that_could_not_be_queued_at_once() -> None:
    queue, gateway = QueueThatIsAway(), FakeGateway()
    jobs = _jobs_of(MemoryJobStore(), queue, gateway)
    for number in range(6):
        queue.is_away = number < 3
        await jobs.accept(a_job(f"{number}"), f"{number}", is_retry=False)
    await asyncio.sleep(60)
    assert gateway.heard == [f"{number}" for number in range(6)]


async def test_what_could_not_be_queued_is_queued_by_the_next_look() -> None:
    queue, gateway = QueueThatIsAway(), FakeGateway()
    jobs = _jobs_of(MemoryJobStore(), queue, gateway)
    queue.is_away = True
    await jobs.accept(a_job("hello"), "hello", is_retry=False)
    queue.is_away = False
    await jobs.recover()
    await asyncio.sleep(60)
    assert gateway.heard == ["hello"]
