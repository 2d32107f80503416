"""What every job book must do. Subclass it with a `book` fixture."""

import asyncio
import time

import msgspec
import pytest

from domain.model.failures import BackendError, Delivery, Failure, FailureCode
from domain.model.job import Job, JobRules, JobState, OpenJob, size_of
from ports.job_book import KEPT_FOR, JobBook
from tests.fakes.gateway import ANNA

MESSAGE = "hi ü☃"


def a_job(number: int = 1, **changes: object) -> Job:
    job = Job(id=f"job_{number:03}", owner="", agent=ANNA, model="anna", body=b"\x00\xff", made_at=time.time(), size=8)
    return msgspec.structs.replace(job, **changes)


async def added(book: JobBook, job: Job, message: str = MESSAGE, rules: JobRules | None = None) -> Job:
    return await book.add(msgspec.structs.replace(job, size=size_of(message)), message, rules or JobRules())


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
        assert await added(book, job) == job
        assert await book.find(job.id) == job
        assert await book.find("job_of nobody") is None

    async def test_one_job_for_a_key(self, book: JobBook) -> None:
        first = a_job(1, key="key")
        assert await added(book, first) == first
        assert await added(book, a_job(2, key="key")) == first
        assert await book.find("job_002") is None
        others = [a_job(3, key="other key"), a_job(4), a_job(5)]
        for other in others:
            assert await added(book, other) == other

    async def test_the_newest_of_those_that_are_alike(self, book: JobBook) -> None:
        for number, body in ((1, b"a"), (3, b"a"), (2, b"a"), (4, b"b")):
            await added(book, a_job(number, body=body))
        found = await book.alike(b"a")
        assert found is not None
        assert found.id == "job_003"
        assert await book.alike(b"c") is None

    async def test_changes_do_not_get_lost(self, book: JobBook) -> None:
        await added(book, a_job())

        def step(job: Job) -> Job:
            return msgspec.structs.replace(job, attempts=job.attempts + 1)

        await asyncio.gather(*(book.change("job_001", step) for _ in range(20)))
        found = await book.find("job_001")
        assert found is not None
        assert found.attempts == 20
        assert await book.change("job_of nobody", step) is None

    async def test_open_jobs_are_found_oldest_first(self, book: JobBook) -> None:
        for number in (2, 1, 3, 4):
            await added(book, a_job(number))
        await book.change("job_003", ended)
        await book.change("job_004", lambda job: msgspec.structs.replace(ended(job), owes_callback=True))
        lane = a_job().lane
        assert list(await book.open()) == [
            OpenJob("job_001", "", lane, finished=False),
            OpenJob("job_002", "", lane, finished=False),
            OpenJob("job_004", "", lane, finished=True),
        ]

    async def test_a_message_is_there_until_its_job_has_ended(self, book: JobBook) -> None:
        large = "ü\ud800" * 1_000_000
        for number, message in ((1, MESSAGE), (2, ""), (3, large)):
            await added(book, a_job(number), message)
            await book.change(f"job_00{number}", lambda job: msgspec.structs.replace(job, state=JobState.RUNNING))
            assert await book.message(f"job_00{number}") == message
        await book.change("job_001", ended)
        await book.change("job_002", lambda job: msgspec.structs.replace(ended(job), owes_callback=True))
        assert [await book.message(id_) for id_ in ("job_001", "job_002", "job_of nobody")] == [None] * 3

    async def test_an_owner_has_so_many_open_jobs_at_most(self, book: JobBook) -> None:
        rules = JobRules(max_open=3)
        asked = [added(book, a_job(number, owner="alice", key=f"{number}"), rules=rules) for number in range(9)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        kept = [answer for answer in answers if isinstance(answer, Job)]
        assert len(kept) == 3
        for answer in set(answers) - set(kept):
            assert isinstance(answer, BackendError)
            assert answer.failure.code is FailureCode.TOO_MANY_JOBS
            assert answer.failure.delivery is Delivery.NO
        assert len(await book.open()) == 3
        assert (await added(book, a_job(9, owner="bert"), rules=rules)).owner == "bert"
        # A repeated request is no further job.
        assert await added(book, kept[0], rules=rules) == kept[0]
        await book.change(kept[0].id, lambda job: msgspec.structs.replace(ended(job), owes_callback=True))
        with pytest.raises(BackendError):
            await added(book, a_job(10, owner="alice"), rules=rules)
        await book.change(kept[0].id, lambda job: msgspec.structs.replace(job, owes_callback=False))
        await added(book, a_job(10, owner="alice"), rules=rules)

    async def test_messages_of_an_owner_are_so_long_at_most(self, book: JobBook) -> None:
        rules = JobRules(max_open_bytes=100)
        await added(book, a_job(1), "ü" * 20, rules)
        await added(book, a_job(2), "u" * 60, rules)
        with pytest.raises(BackendError) as raised:
            await added(book, a_job(3), "u", rules)
        assert raised.value.failure.code is FailureCode.TOO_MANY_JOBS
        assert await book.find("job_003") is None
        await added(book, a_job(4, owner="bert"), "u", rules)
        await book.change("job_001", lambda job: msgspec.structs.replace(ended(job), owes_callback=True))
        await added(book, a_job(3), "u" * 40, rules)

    async def test_jobs_are_counted(self, book: JobBook) -> None:
        for number in (1, 2, 3):
            await added(book, a_job(number))
        await book.change("job_003", ended)
        assert {state: count for state, count in (await book.counts()).items() if count} == {
            JobState.QUEUED: 2,
            JobState.COMPLETED: 1,
        }

    async def test_old_jobs_are_forgotten_but_not_open_ones(self, book: JobBook) -> None:
        long_ago = time.time() - KEPT_FOR - 1
        for number in (1, 2, 3):
            await added(book, a_job(number, made_at=long_ago))
        await book.change("job_001", lambda job: msgspec.structs.replace(ended(job), ended_at=long_ago))
        await book.change("job_002", ended)
        await self.sweep(book)
        assert [await book.find(f"job_00{number}") is None for number in (1, 2, 3)] == [True, False, False]

    async def sweep(self, book: JobBook) -> None:
        await added(book, a_job(9))
