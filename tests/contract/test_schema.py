"""States that earlier versions have left."""

import hashlib
import time
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import create_engine
from sqlalchemy.schema import CreateTable, DDLElement

from adapters.sql import schema
from adapters.sql.late import LateJobStore, LateTurnStore, State
from domain.model.api_key import Caller
from domain.model.identity import Identity
from domain.model.job import Job, OpenJob
from domain.model.lane import name_of
from domain.model.turn_record import TurnRecord
from ports.job_store import KEPT_FOR
from tests.contract.job_store import a_job, ended
from tests.fakes.gateway import ANNA

pytestmark = pytest.mark.anyio

A_TURN = TurnRecord(b"body", "another delivery", True, time.time(), time.time() + 3600, "lane", b"")


def an_old_state(file: Path, version: int, jobs: list[bytes], attempted: int = 3) -> None:
    """As that version has left it. `attempted`: so many of the jobs are in the turn store."""
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        for steps in schema.MIGRATIONS[:version]:
            for step in steps:
                assert isinstance(step, DDLElement)
                connection.execute(step)
        connection.execute(CreateTable(schema.schema_version))
        connection.execute(schema.schema_version.insert().values(version=version))
        for number, job in enumerate(jobs):
            row = {"id": f"job_{number:03}", "key": None, "body": b"", "state": "queued", "open": True, "job": job}
            connection.execute(schema.jobs.insert().values(row))
            if number < attempted:
                connection.execute(schema.turns.insert().values(an_attempt(f"job_{number:03}")))
    engine.dispose()


def an_attempt(job_id: str) -> dict[str, object]:
    """As the turn store had it when a job was known there by what could also be somebody's idempotency key."""
    record = msgspec.structs.replace(A_TURN, delivery_id="delivery")
    key = hashlib.sha256(f"key \0{job_id}".encode()).hexdigest()
    return {**msgspec.structs.asdict(record), "key": key, "events": None, "remembered_events": None}


def with_its_text(job: Job, text: str) -> bytes:
    return msgspec.json.encode({**msgspec.to_builtins(job), "text": text})


async def test_jobs_that_were_kept_with_their_messages(file: Path, sqlite_state: State) -> None:
    waits, calls = a_job(0, owner="alice", size=0), ended(a_job(1, size=0, owes_callback=True))
    an_old_state(file, 5, [with_its_text(waits, "hi ü☃"), with_its_text(calls, ""), b"nobody's"])
    store = LateJobStore(sqlite_state, KEPT_FOR)
    assert list(await store.open()) == [
        OpenJob("job_000", "alice", waits.lane, finished=False),
        OpenJob("job_001", "", calls.lane, finished=True),
    ]
    assert await store.message("job_000") == "hi ü☃"
    assert await store.find("job_000") == msgspec.structs.replace(waits, size=8)
    taken = await LateTurnStore(sqlite_state, 60).claim(Identity(b"body", job="job_000").state_key, A_TURN)
    assert taken is not None
    assert taken.delivery_id == "delivery"
    await store.change("job_000", ended)
    assert [job.id for job in await store.open()] == ["job_001"]


async def test_what_waited_in_a_chat_that_keys_had_in_common(file: Path, sqlite_state: State) -> None:
    """It goes into its own key's chat now, unless it may have been delivered."""
    jobs = [a_job(number, owner=owner, chat="1") for number, owner in enumerate(("alice", "alice", ""))]
    an_old_state(file, 5, [with_its_text(job, "hi") for job in jobs], attempted=1)
    store = LateJobStore(sqlite_state, KEPT_FOR)
    chats = [(await store.find(job.id) or job).chat for job in jobs]
    assert chats == ["1", Caller(id="alice").own("1"), "1"]
    assert [job.lane for job in await store.open()] == [name_of((ANNA.id, chat)) for chat in chats]
