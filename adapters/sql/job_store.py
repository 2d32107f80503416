"""A job store in the database."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, select

from adapters.sql.database import Database, was_done
from adapters.sql.schema import jobs, open_jobs
from domain.model.job import Job, JobRules, JobState, OpenJob
from ports.job_store import KEPT_FOR

# Seconds between two looks for jobs that are too old.
_SWEEP_EVERY = 300.0
# Characters or bytes from which a message is translated in a thread.
_LARGE = 1_000_000

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Job)

_OPEN = select(func.count(), func.coalesce(func.sum(open_jobs.c.size), 0)).where(
    open_jobs.c.owner == bindparam("sought")
)
_LEFT = select(open_jobs.c.id, open_jobs.c.owner, open_jobs.c.lane, open_jobs.c.finished).order_by(open_jobs.c.id)


class SqlJobStore:
    """`ports.JobStore`. `answers_kept_for` (seconds, from the end of a job): for how long responses stay."""

    def __init__(self, database: Database, answers_kept_for: float = KEPT_FOR) -> None:
        self._database = database
        self._answers_kept_for = answers_kept_for
        self._sweep_at = 0.0
        self._insertion = database.insertion(jobs)

    async def add(self, job: Job, message: str, rules: JobRules) -> Job:
        await self._sweep()
        content = await asyncio.to_thread(_bytes_of, message) if len(message) > _LARGE else _bytes_of(message)
        row = {"id": job.id, "owner": job.owner, "lane": job.lane, "finished": False, "size": job.size}
        async with self._database.transaction() as connection:
            # So that nobody adds another one between the look and the insertion.
            await self._database.hold(connection, f"jobs of {job.owner}")
            if not await was_done(connection, self._insertion, self._row(job)):
                found = (await connection.scalars(select(jobs.c.job).where(jobs.c.key == job.key))).one()
                return _decoder.decode(found)
            count, size = (await connection.execute(_OPEN, {"sought": job.owner})).one()
            rules.check_room(job.size, count, int(size))
            await connection.execute(open_jobs.insert(), {**row, "message": content})
        return job

    async def find(self, job_id: str) -> Job | None:
        async with self._database.reading() as connection:
            found = await connection.scalar(select(jobs.c.job).where(jobs.c.id == job_id))
        return None if found is None else _decoder.decode(found)

    async def message(self, job_id: str) -> str | None:
        async with self._database.reading() as connection:
            asked = select(open_jobs.c.message).where(open_jobs.c.id == job_id, open_jobs.c.finished.is_(False))
            found = await connection.scalar(asked)
        if found is None:
            return None
        return await asyncio.to_thread(_text_of, found) if len(found) > _LARGE else _text_of(found)

    async def find_same(self, body: bytes) -> Job | None:
        newest = select(jobs.c.job).where(jobs.c.body == body).order_by(jobs.c.id.desc()).limit(1)
        async with self._database.reading() as connection:
            found = await connection.scalar(newest)
        return None if found is None else _decoder.decode(found)

    async def change(self, job_id: str, step: Callable[[Job], Job]) -> Job | None:
        async with self._database.transaction() as connection:
            found = await connection.scalar(select(jobs.c.job).where(jobs.c.id == job_id).with_for_update())
            if found is None:
                return None
            job = step(_decoder.decode(found))
            await connection.execute(jobs.update().where(jobs.c.id == job_id).values(self._row(job)))
            if not job.open:
                await connection.execute(open_jobs.delete().where(open_jobs.c.id == job_id))
            elif job.finished:
                only_a_call = open_jobs.update().values(finished=True, size=0, message=None)
                await connection.execute(only_a_call.where(open_jobs.c.id == job_id))
        return job

    async def recent(
        self, most: int, owner: str | None = None, state: JobState | None = None, after: str | None = None
    ) -> Sequence[Job]:
        wanted = select(jobs.c.job).order_by(jobs.c.id.desc()).limit(most)
        if owner is not None:
            wanted = wanted.where(jobs.c.owner == owner)
        if state is not None:
            wanted = wanted.where(jobs.c.state == state.value)
        if after is not None:
            wanted = wanted.where(jobs.c.id < after)
        async with self._database.reading() as connection:
            return [_decoder.decode(each) for each in await connection.scalars(wanted)]

    async def open(self) -> Sequence[OpenJob]:
        async with self._database.reading() as connection:
            return [OpenJob(*row) for row in await connection.execute(_LEFT)]

    async def counts(self) -> Mapping[JobState, int]:
        async with self._database.reading() as connection:
            found = await connection.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state))
            return {JobState(state): count for state, count in found}

    def _row(self, job: Job) -> dict[str, Any]:
        if not job.open and self._answers_kept_for <= 0:
            job = msgspec.structs.replace(job, response=None)
        return {
            "id": job.id,
            "key": job.key,
            "body": job.body,
            "state": job.state.value,
            "open": job.open,
            "ended_at": job.ended_at,
            "owner": job.owner,
            "job": _encode(job),
        }

    async def _sweep(self) -> None:
        now = time.time()
        if now < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP_EVERY
        ended = jobs.c.open.is_(False) & (jobs.c.ended_at < now - self._answers_kept_for)
        async with self._database.transaction() as connection:
            await connection.execute(jobs.delete().where(jobs.c.open.is_(False) & (jobs.c.ended_at < now - KEPT_FOR)))
            found = (await connection.scalars(select(jobs.c.job).where(ended))).all()
            for job in map(_decoder.decode, found):
                if job.response is not None:
                    silent = msgspec.structs.replace(job, response=None)
                    await connection.execute(jobs.update().where(jobs.c.id == job.id).values(job=_encode(silent)))


def _bytes_of(message: str) -> bytes:
    return message.encode("utf-8", "surrogatepass")


def _text_of(content: bytes) -> str:
    return content.decode("utf-8", "surrogatepass")
