"""What every job book must do. Subclass it with a `book` fixture."""

import asyncio
import time

import msgspec

from domain.model.failures import Delivery, Failure, FailureCode
from domain.model.job import Job, JobState
from ports.job_book import KEPT_FOR, JobBook
from tests.fakes.gateway import ANNA


def a_job(number: int = 1, **changes: object) -> Job:
    job = Job(
        id=f"job_{number:03}", owner="", agent=ANNA, model="anna", text="hi ü☃", body=b"\x00\xff", made_at=time.time()
    )
    return msgspec.structs.replace(job, **changes)


def ended(job: Job) -> Job:
    return msgspec.structs.replace(job, state=JobState.COMPLETED, ended_at=time.time(), response="there you are")


class JobBookContract:
    """Jobs come back as they were written."""

    async def test_a_job_is_found_again(self, book: JobBook) -> None:
        job = a_job(
            chat="chat",
            state=JobState.FAILED,
            failure=Failure(FailureCode.LLM_ERROR, Delivery.YES, "cause", 5),
            callback_url="https://example.org",
            ended_at=time.time(),
        )
        assert await book.add(job) == job
        assert await book.find(job.id) == job
        assert await book.find("job_of nobody") is None

    async def test_one_job_for_a_key(self, book: JobBook) -> None:
        first = a_job(1, key="key")
        assert await book.add(first) == first
        assert await book.add(a_job(2, key="key")) == first
        assert await book.find("job_002") is None
        others = [a_job(3, key="other key"), a_job(4), a_job(5)]
        for other in others:
            assert await book.add(other) == other

    async def test_the_newest_of_those_that_are_alike(self, book: JobBook) -> None:
        for number, body in ((1, b"a"), (3, b"a"), (2, b"a"), (4, b"b")):
            await book.add(a_job(number, body=body))
        found = await book.alike(b"a")
        assert found is not None
        assert found.id == "job_003"
        assert await book.alike(b"c") is None

    async def test_changes_do_not_get_lost(self, book: JobBook) -> None:
        await book.add(a_job())

        def step(job: Job) -> Job:
            return msgspec.structs.replace(job, attempts=job.attempts + 1)

        await asyncio.gather(*(book.change("job_001", step) for _ in range(20)))
        found = await book.find("job_001")
        assert found is not None
        assert found.attempts == 20
        assert await book.change("job_of nobody", step) is None

    async def test_open_jobs_are_found_oldest_first(self, book: JobBook) -> None:
        for number in (2, 1, 3, 4):
            await book.add(a_job(number))
        await book.change("job_003", ended)
        await book.change("job_004", lambda job: msgspec.structs.replace(ended(job), owes_callback=True))
        assert [job.id for job in await book.open()] == ["job_001", "job_002", "job_004"]

    async def test_jobs_are_counted(self, book: JobBook) -> None:
        for number in (1, 2, 3):
            await book.add(a_job(number))
        await book.change("job_003", ended)
        assert {state: count for state, count in (await book.counts()).items() if count} == {
            JobState.QUEUED: 2,
            JobState.COMPLETED: 1,
        }

    async def test_old_jobs_are_forgotten_but_not_open_ones(self, book: JobBook) -> None:
        long_ago = time.time() - KEPT_FOR - 1
        for number in (1, 2, 3):
            await book.add(a_job(number, made_at=long_ago))
        await book.change("job_001", lambda job: msgspec.structs.replace(ended(job), ended_at=long_ago))
        await book.change("job_002", ended)
        await self.sweep(book)
        assert [await book.find(f"job_00{number}") is None for number in (1, 2, 3)] == [True, False, False]

    async def sweep(self, book: JobBook) -> None:
        await book.add(a_job(9))
