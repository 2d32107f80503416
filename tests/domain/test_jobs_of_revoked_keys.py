"""Jobs that were under way when their process ended, and whose key holds no more when the next one begins."""

import asyncio

import pytest

from adapters.memory.job_queue import MemoryJobQueue
from adapters.memory.job_store import MemoryJobStore
from adapters.memory.turn_store import MemoryTurnStore
from domain.model.api_key import Caller
from domain.model.events import Accepted, Ended, Text
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.job import Job, JobState
from domain.model.turn_record import TurnRecord
from tests.fakes.gateway import ANNA, FakeGateway
from tests.fakes.services import jobs_of, turns_of

pytestmark = pytest.mark.anyio

ALICE = Caller("alice", id=":alice")


class Keys:
    """Those that hold. Threads, in which real ones are read, know no virtual time."""

    def __init__(self) -> None:
        self.holders = {ALICE.id: ALICE}

    async def holder(self, key_id: str) -> Caller | None:
        return self.holders.get(key_id)


class SlowTurnStore(MemoryTurnStore):
    """As databases are, which take their time."""

    async def claim(self, key: str, record: TurnRecord) -> TurnRecord | None:
        await asyncio.sleep(1)
        return await super().claim(key, record)


class NoCallbacks:
    async def call(self, *_: object) -> bool:
        raise AssertionError("nobody is to be called")


class Service:
    """Processes that share all there is, one after the other."""

    def __init__(self) -> None:
        self.gateway = FakeGateway(answers={"slow": [Accepted("run"), Text("so far"), 9000.0, Ended()]})
        self.keys = Keys()
        self.store, self.turn_store = MemoryJobStore(), SlowTurnStore()
        self.start()

    def start(self) -> None:
        self.queue = MemoryJobQueue()
        self.turns = turns_of(self.gateway, turn_store=self.turn_store)
        self.jobs = jobs_of(self.store, self.queue, self.turns, NoCallbacks(), self.keys)  # type: ignore[arg-type]

    async def restart(self) -> None:
        await self.turns.shut_down()
        await self.queue.close()
        self.start()

    async def leave(self, text: str) -> None:
        job = Job(id="job_1", owner=ALICE.id, agent=ANNA, model="anna", body=b"body", made_at=0.0, size=len(text))
        await self.jobs.accept(job, text, is_retry=False)

    async def ended(self) -> Job:
        while True:
            job = await self.store.find("job_1")
            assert job is not None
            if job.finished:
                return job
            await asyncio.sleep(0.1)


@pytest.fixture
async def service() -> Service:
    return Service()


@pytest.mark.parametrize("revoked", [True, False])
async def test_what_the_agent_still_does_is_stopped(service: Service, revoked: bool) -> None:
    await service.leave("slow")
    await asyncio.sleep(5)
    await service.restart()
    if revoked:
        service.keys.holders.clear()
    else:
        assert await service.jobs.cancel("job_1", Caller(id=ALICE.id))
    await service.jobs.recover()
    assert (await service.ended()).state is JobState.CANCELLED
    assert service.gateway.cancelled == ["run-1"]


@pytest.mark.parametrize("revoked", [True, False])
@pytest.mark.parametrize("after", [1, 2, 3, 5, 60])
async def test_what_was_perhaps_delivered_is_not_sent_again(service: Service, revoked: bool, after: float) -> None:
    service.gateway.down = Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.UNKNOWN)
    await service.leave("slow")
    await asyncio.sleep(5)
    if revoked:
        service.keys.holders.clear()
    cancelled = await service.jobs.cancel("job_1", Caller(id=ALICE.id if not revoked else ""))
    assert cancelled is not None
    assert not cancelled.finished
    await asyncio.sleep(after)
    service.gateway.down = None
    assert (await service.ended()).state is JobState.CANCELLED
    assert service.gateway.runs == {}


async def test_what_was_not_delivered_never_is(service: Service) -> None:
    service.gateway.down = Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)
    await service.leave("slow")
    await asyncio.sleep(5)
    await service.restart()
    service.keys.holders.clear()
    service.gateway.down = None
    await service.jobs.recover()
    assert (await service.ended()).state is JobState.CANCELLED
    assert service.gateway.delivered == []
