"""A job book in the database."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import func, select

from adapters.sql.database import Database, was_done
from adapters.sql.schema import jobs
from domain.model.job import Job, JobState
from ports.job_book import KEPT_FOR

# Seconds between two looks for jobs that are too old.
_SWEEP_EVERY = 300.0

logger = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Job)


def _readable(row: bytes) -> Job | None:
    """None: a newer version has written it, or nobody."""
    try:
        return _decoder.decode(row)
    except msgspec.MsgspecError as error:
        logger.error("A job in the state cannot be understood: %s", error)
        return None


class SqlJobBook:
    """`ports.JobBook`. `answers_kept_for` (seconds, from the end of a job): for how long responses stay."""

    def __init__(self, database: Database, answers_kept_for: float = KEPT_FOR) -> None:
        self._database = database
        self._answers_kept_for = answers_kept_for
        self._sweep_at = 0.0
        self._insertion = database.insertion(jobs)

    async def add(self, job: Job) -> Job:
        await self._sweep()
        async with self._database.transaction() as connection:
            if await was_done(connection, self._insertion, self._row(job)):
                return job
            found = (await connection.scalars(select(jobs.c.job).where(jobs.c.key == job.key))).one()
        return _decoder.decode(found)

    async def find(self, job_id: str) -> Job | None:
        async with self._database.reading() as connection:
            found = await connection.scalar(select(jobs.c.job).where(jobs.c.id == job_id))
        return None if found is None else _decoder.decode(found)

    async def alike(self, body: bytes) -> Job | None:
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
        return job

    async def open(self) -> Sequence[Job]:
        async with self._database.reading() as connection:
            found = await connection.scalars(select(jobs.c.job).where(jobs.c.open).order_by(jobs.c.id))
            return [job for each in found if (job := _readable(each)) is not None]

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
