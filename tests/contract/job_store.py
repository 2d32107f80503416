"""What every job store must do. Subclass it with a `store` fixture."""

import asyncio
import time

import msgspec
import pytest

from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.job import Job, JobRules, JobState, OpenJob, size_of
from ports.job_store import KEPT_FOR, JobStore
from tests.fakes.gateway import ANNA

MESSAGE = "hi ü☃"


def a_job(number: int = 1, **changes: object) -> Job:
    job = Job(id=f"job_{number:03}", owner="", agent=ANNA, model="anna", body=b"\x00\xff", made_at=time.time(), size=8)
    return msgspec.structs.replace(job, **changes)


async def added(store: JobStore, job: Job, message: str = MESSAGE, rules: JobRules | None = None) -> Job:
    return await store.add(msgspec.structs.replace(job, size=size_of(message)), message, rules or JobRules())


def ended(job: Job) -> Job:
    return msgspec.structs.replace(job, state=JobState.COMPLETED, ended_at=time.time(), response="there you are")


class JobStoreContract:
    """Jobs come back as they were written."""

    async def test_a_job_is_found_again(self, store: JobStore) -> None:
        job = a_job(
            chat="chat",
            state=JobState.FAILED,
            failure=Failure(FailureCode.LLM_ERROR, Delivery.YES, "cause", 5),
            callback_url="https://example.org",
            ended_at=time.time(),
        )
        assert await added(store, job) == job
        assert await store.find(job.id) == job
        assert await store.find("job_of nobody") is None

    async def test_one_job_for_a_key(self, store: JobStore) -> None:
        first = a_job(1, key="key")
        assert await added(store, first) == first
        assert await added(store, a_job(2, key="key")) == first
        assert await store.find("job_002") is None
        others = [a_job(3, key="other key"), a_job(4), a_job(5)]
        for other in others:
            assert await added(store, other) == other

    async def test_the_newest_of_those_that_are_alike(self, store: JobStore) -> None:
        for number, body in ((1, b"a"), (3, b"a"), (2, b"a"), (4, b"b")):
            await added(store, a_job(number, body=body))
        found = await store.find_same(b"a")
        assert found is not None
        assert found.id == "job_003"
        assert await store.find_same(b"c") is None

    async def test_changes_do_not_get_lost(self, store: JobStore) -> None:
        await added(store, a_job())

        def step(job: Job) -> Job:
            return msgspec.structs.replace(job, attempts=job.attempts + 1)

        await asyncio.gather(*(store.change("job_001", step) for _ in range(20)))
        found = await store.find("job_001")
        assert found is not None
        assert found.attempts == 20
        assert await store.change("job_of nobody", step) is None

    async def test_open_jobs_are_found_oldest_first(self, store: JobStore) -> None:
        for number in (2, 1, 3, 4):
            await added(store, a_job(number))
        await store.change("job_003", ended)
        await store.change("job_004", lambda job: msgspec.structs.replace(ended(job), owes_callback=True))
        lane = a_job().lane
        assert list(await store.open()) == [
            OpenJob("job_001", "", lane, finished=False),
            OpenJob("job_002", "", lane, finished=False),
            OpenJob("job_004", "", lane, finished=True),
        ]

    async def test_a_message_is_there_until_its_job_has_ended(self, store: JobStore) -> None:
        large = "ü\ud800" * 1_000_000
        for number, message in ((1, MESSAGE), (2, ""), (3, large)):
            await added(store, a_job(number), message)
            await store.change(f"job_00{number}", lambda job: msgspec.structs.replace(job, state=JobState.RUNNING))
            assert await store.message(f"job_00{number}") == message
        await store.change("job_001", ended)
        await store.change("job_002", lambda job: msgspec.structs.replace(ended(job), owes_callback=True))
        assert [await store.message(id_) for id_ in ("job_001", "job_002", "job_of nobody")] == [None] * 3

    async def test_an_owner_has_so_many_open_jobs_at_most(self, store: JobStore) -> None:
        rules = JobRules(max_open=3)
        asked = [added(store, a_job(number, owner="alice", key=f"{number}"), rules=rules) for number in range(9)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        kept = [answer for answer in answers if isinstance(answer, Job)]
        assert len(kept) == 3
        for answer in set(answers) - set(kept):
            assert isinstance(answer, FailureError)
            assert answer.failure.code is FailureCode.TOO_MANY_JOBS
            assert answer.failure.delivery is Delivery.NO
        assert len(await store.open()) == 3
        assert (await added(store, a_job(9, owner="bert"), rules=rules)).owner == "bert"
        # A repeated request is no further job.
        assert await added(store, kept[0], rules=rules) == kept[0]
        await store.change(kept[0].id, lambda job: msgspec.structs.replace(ended(job), owes_callback=True))
        with pytest.raises(FailureError):
            await added(store, a_job(10, owner="alice"), rules=rules)
        await store.change(kept[0].id, lambda job: msgspec.structs.replace(job, owes_callback=False))
        await added(store, a_job(10, owner="alice"), rules=rules)

    async def test_messages_of_an_owner_are_so_long_at_most(self, store: JobStore) -> None:
        rules = JobRules(max_open_bytes=100)
        await added(store, a_job(1), "ü" * 20, rules)
        await added(store, a_job(2), "u" * 60, rules)
        with pytest.raises(FailureError) as raised:
            await added(store, a_job(3), "u", rules)
        assert raised.value.failure.code is FailureCode.TOO_MANY_JOBS
        assert await store.find("job_003") is None
        await added(store, a_job(4, owner="bert"), "u", rules)
        await store.change("job_001", lambda job: msgspec.structs.replace(ended(job), owes_callback=True))
        await added(store, a_job(3), "u" * 40, rules)

    async def test_jobs_are_counted(self, store: JobStore) -> None:
        for number in (1, 2, 3):
            await added(store, a_job(number))
        await store.change("job_003", ended)
        assert {state: count for state, count in (await store.counts()).items() if count} == {
            JobState.QUEUED: 2,
            JobState.COMPLETED: 1,
        }

    async def test_old_jobs_are_forgotten_but_not_open_ones(self, store: JobStore) -> None:
        long_ago = time.time() - KEPT_FOR - 1
        for number in (1, 2, 3):
            await added(store, a_job(number, made_at=long_ago))
        await store.change("job_001", lambda job: msgspec.structs.replace(ended(job), ended_at=long_ago))
        await store.change("job_002", ended)
        await self.sweep(store)
        assert [await store.find(f"job_00{number}") is None for number in (1, 2, 3)] == [True, False, False]

    async def sweep(self, store: JobStore) -> None:
        await added(store, a_job(9))

    async def test_the_newest_are_listed_by_owner_and_state(self, store: JobStore) -> None:
        for number, owner in enumerate(("alice", "", "alice", "bob")):
            await added(store, a_job(number, owner=owner))
        await store.change("job_002", ended)
        assert [job.id for job in await store.recent(10)] == ["job_003", "job_002", "job_001", "job_000"]
        assert [job.id for job in await store.recent(2)] == ["job_003", "job_002"]
        assert [job.id for job in await store.recent(10, owner="alice")] == ["job_002", "job_000"]
        assert [job.id for job in await store.recent(10, owner="")] == ["job_001"]
        assert [job.id for job in await store.recent(10, state=JobState.COMPLETED)] == ["job_002"]
        assert [job.id for job in await store.recent(10, owner="alice", after="job_002")] == ["job_000"]
