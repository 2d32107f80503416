"""States that earlier versions have left."""

import hashlib
import time
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.schema import CreateTable, DDLElement

from adapters.sql import migrations, schema
from adapters.sql.lazy_stores import lazy_conversation_store, lazy_history_store, lazy_job_store, lazy_turn_store
from adapters.sql.state import State
from domain.model.api_key import Caller
from domain.model.events import Text
from domain.model.history import Said
from domain.model.identity import Identity
from domain.model.job import Job, OpenJob
from domain.model.lane import name_of
from domain.model.turn_record import TurnRecord
from ports.job_store import KEPT_FOR
from tests.contract.job_store import a_job, ended
from tests.fakes.gateway import ANNA
from tests.postgres.server import PostgresServer

pytestmark = pytest.mark.anyio

A_TURN = TurnRecord(b"body", "another delivery", True, time.time(), time.time() + 3600, "lane", b"")


def an_old_state(file: Path, version: int, jobs: list[bytes], attempted: int = 3) -> None:
    """As that version has left it. `attempted`: so many of the jobs are in the turn store."""
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        for steps in migrations.MIGRATIONS[:version]:
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
    store = lazy_job_store(sqlite_state, KEPT_FOR)
    assert list(await store.open()) == [
        OpenJob("job_000", "alice", waits.lane, finished=False),
        OpenJob("job_001", "", calls.lane, finished=True),
    ]
    assert await store.message("job_000") == "hi ü☃"
    assert await store.find("job_000") == msgspec.structs.replace(waits, size=8)
    taken = await lazy_turn_store(sqlite_state, 60).claim(Identity(b"body", job="job_000").state_key, A_TURN)
    assert taken is not None
    assert taken.delivery_id == "delivery"
    await store.change("job_000", ended)
    assert [job.id for job in await store.open()] == ["job_001"]


async def test_what_waited_in_a_chat_that_keys_had_in_common(file: Path, sqlite_state: State) -> None:
    """It goes into its own key's chat now, unless it may have been delivered."""
    jobs = [a_job(number, owner=owner, chat="1") for number, owner in enumerate(("alice", "alice", ""))]
    an_old_state(file, 5, [with_its_text(job, "hi") for job in jobs], attempted=1)
    store = lazy_job_store(sqlite_state, KEPT_FOR)
    chats = [(await store.find(job.id) or job).chat for job in jobs]
    assert chats == ["1", Caller(id="alice").own("1"), "1"]
    assert [job.lane for job in await store.open()] == [name_of((ANNA.id, chat)) for chat in chats]


def with_the_old_names(url: str) -> None:
    """As version 7 has left it: a chat, an answer, and an open job that was attempted."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        later = [
            schema.histories,
            schema.responses,
            schema.response_events,
            schema.heads,
            schema.client_conversations,
            schema.conversation_items,
            schema.turn_reports,
            schema.assignments,
        ]
        for table in (schema.schema_version, *(each for each in schema.metadata.sorted_tables if each not in later)):
            connection.execute(CreateTable(table, if_not_exists=True))
        connection.execute(schema.schema_version.insert().values(version=7))
        for table, names in migrations.RENAMED.items():
            for old, new in names.items():
                connection.execute(text(f"ALTER TABLE {table.name} RENAME COLUMN {new} TO {old}"))
        chat = "INSERT INTO lettabot_conversations (agent_id, chat, conversation) VALUES ('agent-1', 'chat', 'c-1')"
        connection.execute(text(chat))
        turn = text(
            "INSERT INTO lettabot_turns (key, body, delivery_id, deduplicated, began_at, forget_at, lane, said, run_id,"
            " ended_at, events, kept, answered, served) VALUES (:key, :body, :delivery_id, :yes, :now, :later, 'lane',"
            " :said, 'run-1', :ended_at, :events, :kept, :yes, 3)"
        )
        words = msgspec.json.encode([Text("so far")])
        shared = {"body": b"body", "yes": True, "now": A_TURN.began_at, "later": A_TURN.forget_at, "said": b"digest"}
        answered = {"key": "answered", "delivery_id": "d1", "ended_at": A_TURN.began_at, "events": words, "kept": words}
        job_key = Identity(b"body", job="job_000").state_key
        attempted = {"key": job_key, "delivery_id": "d2", "ended_at": None, "events": None, "kept": None}
        connection.execute(turn, [{**shared, **answered}, {**shared, **attempted}])
        job = a_job(0, size=2)
        row = {"id": job.id, "key": None, "body": job.body, "state": "queued", "open": True}
        connection.execute(schema.jobs.insert().values(**row, job=msgspec.json.encode(job)))
        left = {"id": job.id, "owner": "", "lane": job.lane, "finished": False, "size": 2, "message": b"hi"}
        connection.execute(schema.open_jobs.insert().values(left))
    engine.dispose()


async def test_what_was_kept_under_the_old_names_survives(file: Path) -> None:
    await assert_that_the_old_names_survive(f"sqlite:///{file}")


async def test_what_was_kept_under_the_old_names_survives_in_postgresql(postgres: PostgresServer) -> None:
    await assert_that_the_old_names_survive(postgres.new_database())


async def assert_that_the_old_names_survive(url: str) -> None:
    with_the_old_names(url)
    state = State(url)
    assert await lazy_conversation_store(state).find("agent-1", "chat") == "c-1"
    turns, jobs = lazy_turn_store(state, KEPT_FOR), lazy_job_store(state, KEPT_FOR)
    answered = await turns.claim("answered", A_TURN)
    assert answered is not None
    assert (answered.message_digest, answered.highest_retry_answered) == (b"digest", 3)
    assert answered.events == answered.remembered_events == (Text("so far"),)
    attempted = await turns.claim(Identity(b"body", job="job_000").state_key, A_TURN)
    assert attempted is not None
    assert attempted.delivery_id == "d2"
    assert [job.id for job in await jobs.open()] == ["job_000"]
    assert await jobs.message("job_000") == "hi"
    await state.close()


async def test_histories_that_were_in_no_list(file: Path, sqlite_state: State) -> None:
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        columns = "conversation VARCHAR PRIMARY KEY, messages BLOB NOT NULL, updated_at FLOAT NOT NULL"
        connection.execute(text(f"CREATE TABLE lettabot_histories ({columns})"))
        old = {"messages": b'[{"role":"user","text":"hi"}]'}
        connection.execute(text("INSERT INTO lettabot_histories VALUES ('chat-1', :messages, 1.0)"), old)
        for table in (schema.schema_version, schema.jobs, schema.conversations):
            connection.execute(CreateTable(table))
        connection.execute(schema.schema_version.insert().values(version=10))
    engine.dispose()
    store = lazy_history_store(sqlite_state)
    assert list(await store.read("chat-1")) == [Said("user", "hi")]
    assert await store.list_of("chat-1") == ""
    await store.write("chat-1", [Said("user", "hi"), Said("assistant", "Hi.")], "models/anna")
    [listed] = await store.listed("models/anna", 10)
    assert (listed.id, listed.created_at, listed.messages) == ("chat-1", 0.0, 2)
