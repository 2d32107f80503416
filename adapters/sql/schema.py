"""The tables, and how each version of them became the next one. A version that was released is never changed."""

from collections.abc import Awaitable, Callable, Sequence, Set

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from domain.model.api_key import Caller
from domain.model.identity import Identity
from domain.model.job import Job

metadata = MetaData()

schema_version = Table("lettabot_schema", metadata, Column("version", Integer, primary_key=True))

conversations = Table(
    "lettabot_conversations",
    metadata,
    Column("agent_id", String, primary_key=True),
    Column("chat", String, primary_key=True),
    Column("conversation", String, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

conversations_by_chat = Index("lettabot_conversations_by_chat", conversations.c.chat)

turns = Table(
    "lettabot_turns",
    metadata,
    Column("key", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("delivery_id", String, nullable=False),
    Column("deduplicated", Boolean, nullable=False),
    Column("began_at", Float, nullable=False),
    Column("forget_at", Float, nullable=False),
    Column("lane", String, nullable=False),
    Column("message_digest", LargeBinary, nullable=False),
    Column("user_message_id", String),
    Column("run_id", String),
    Column("ended_at", Float),
    Column("events", LargeBinary),
    Column("remembered_events", LargeBinary),
    Column("answered", Boolean, nullable=False),
    Column("highest_retry_answered", Integer, nullable=False),
    Column("response_id", String),
)
turns_by_end = Index("lettabot_turns_by_end", turns.c.forget_at)
turns_by_lane = Index("lettabot_turns_by_lane", turns.c.lane, turns.c.began_at)

tickets = Table(
    "lettabot_tickets",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("lane", String, nullable=False),
    Column("key", String, nullable=False),
    Column("holder", String, nullable=False),
    # Of a process that has died: it stays until a turn that came after it has been carried out.
    Column("crashed", Boolean, nullable=False),
    # A number is never used again, even if it was the last one.
    sqlite_autoincrement=True,
)
tickets_by_lane = Index("lettabot_tickets_by_lane", tickets.c.lane, tickets.c.number)

jobs = Table(
    "lettabot_jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("key", String, unique=True),
    Column("body", LargeBinary, nullable=False),
    Column("state", String, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("ended_at", Float),
    Column("job", LargeBinary, nullable=False),
)
jobs_by_body = Index("lettabot_jobs_by_body", jobs.c.body)
jobs_by_state = Index("lettabot_jobs_by_state", jobs.c.open, jobs.c.ended_at)

# Open jobs only, so that whoever looks for them need not read what else is known of a job.
open_jobs = Table(
    "lettabot_open_jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("lane", String, nullable=False),
    # Only its callback is left.
    Column("finished", Boolean, nullable=False),
    # In bytes, of the message; 0 when that is of no more use.
    Column("size", BigInteger, nullable=False),
    Column("message", LargeBinary),
)
open_jobs_by_owner = Index("lettabot_open_jobs_by_owner", open_jobs.c.owner, open_jobs.c.size)

# Only in PostgreSQL: keys that are for one machine are in files.
keys = Table(
    "lettabot_keys",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("name", String, nullable=False, unique=True),
    Column("content", LargeBinary, nullable=False),
)


class _OldJob(msgspec.Struct):
    text: str


async def _move_messages(connection: AsyncConnection) -> None:
    """Out of the jobs, one by one: they may be large. In the turn store, jobs get keys that no client can choose. What
    waits goes into its own key's chat."""
    ids = (await connection.scalars(select(jobs.c.id).where(jobs.c.open))).all()
    for id_ in ids:
        kept = await connection.scalar(select(jobs.c.job).where(jobs.c.id == id_)) or b""
        try:
            message = msgspec.json.decode(kept, type=_OldJob).text.encode()
            job = msgspec.json.decode(kept, type=Job)
        except msgspec.MsgspecError:
            # Nobody could go on with it before, either.
            continue
        before = Identity(job.body, idempotency_key=f"\0{id_}").state_key
        now = Identity(job.body, job=id_).state_key
        if (await connection.execute(turns.update().where(turns.c.key == before).values(key=now))).rowcount == 0:
            # It was not delivered into the chat that all keys had in common, and is not going to be.
            owner = Caller(id=job.owner)
            chat, message_id = owner.own(job.chat), owner.own(job.user_message_id)
            job = msgspec.structs.replace(job, chat=chat, user_message_id=message_id)
        job = msgspec.structs.replace(job, size=len(message))
        row = {"id": id_, "owner": job.owner, "lane": job.lane, "finished": job.finished, "size": job.size}
        await connection.execute(open_jobs.insert().values(**row, message=message))
        await connection.execute(jobs.update().where(jobs.c.id == id_).values(job=msgspec.json.encode(job)))


approvals = Table(
    "lettabot_approvals",
    metadata,
    Column("agent_id", String, primary_key=True),
    Column("call_id", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("asked_at", Float, nullable=False),
)

histories = Table(
    "lettabot_histories",
    metadata,
    Column("conversation", String, primary_key=True),
    Column("messages", LargeBinary, nullable=False),
    Column("updated_at", Float, nullable=False),
)

responses = Table(
    "lettabot_responses",
    metadata,
    Column("id", String, primary_key=True),
    Column("lane", String, nullable=False),
    # Of all that was said in it, in bytes.
    Column("size", BigInteger, nullable=False),
    Column("record", LargeBinary, nullable=False),
    # The items that were sent.
    Column("input", LargeBinary),
    # What was said, if it was written all at once.
    Column("events", LargeBinary),
)
# So that nobody has to read what was said to see how much it is.
responses_by_size = Index("lettabot_responses_by_size", responses.c.id, responses.c.size)

# What was said in responses in the background, in pieces.
response_events = Table(
    "lettabot_response_events",
    metadata,
    Column("response_id", String, primary_key=True),
    # The number of the first event in this piece.
    Column("position", Integer, primary_key=True),
    Column("events", LargeBinary, nullable=False),
)

heads = Table(
    "lettabot_conversation_heads",
    metadata,
    Column("lane", String, primary_key=True),
    # Empty: something else was said after the last response.
    Column("response_id", String, nullable=False),
)

client_conversations = Table(
    "lettabot_client_conversations",
    metadata,
    Column("id", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("made_at", Float, nullable=False),
    Column("conversation", LargeBinary, nullable=False),
)

conversation_items = Table(
    "lettabot_conversation_items",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String, nullable=False),
    Column("conversation_id", String, nullable=False),
    Column("made_at", Float, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
items_by_conversation = Index("lettabot_items_by_conversation", conversation_items.c.conversation_id)

# By table: what each column was called before, and what it is called now.
RENAMED = {
    conversations: {"kept_at": "created_at"},
    turns: {"said": "message_digest", "kept": "remembered_events", "served": "highest_retry_answered"},
    tickets: {"dead": "crashed"},
}


async def _add_response_ids(connection: AsyncConnection) -> None:
    """To turns; a new database has them already."""
    if "response_id" not in await connection.run_sync(_column_names, turns.name):
        await connection.execute(text("ALTER TABLE lettabot_turns ADD COLUMN response_id VARCHAR"))


async def _rename_columns(connection: AsyncConnection) -> None:
    """The tables of a new database have their new names already."""
    for table, names in RENAMED.items():
        there = await connection.run_sync(_column_names, table.name)
        for old, new in names.items():
            if old in there:
                await connection.execute(text(f"ALTER TABLE {table.name} RENAME COLUMN {old} TO {new}"))


def _column_names(connection: Connection, table: str) -> Set[str]:
    return {column["name"] for column in inspect(connection).get_columns(table)}


# What leads from each version to the next; the first one leads from an empty database to version 1.
MIGRATIONS: Sequence[Sequence[DDLElement | Callable[[AsyncConnection], Awaitable[None]]]] = (
    (CreateTable(conversations),),
    (CreateTable(turns), CreateIndex(turns_by_end), CreateIndex(turns_by_lane)),
    (CreateTable(jobs), CreateIndex(jobs_by_body), CreateIndex(jobs_by_state)),
    (CreateTable(tickets), CreateIndex(tickets_by_lane)),
    (CreateTable(keys),),
    (CreateTable(open_jobs), CreateIndex(open_jobs_by_owner), _move_messages),
    (CreateTable(approvals),),
    (_rename_columns,),
    (CreateTable(histories),),
    (
        _add_response_ids,
        CreateTable(responses),
        CreateIndex(responses_by_size),
        CreateTable(response_events),
        CreateTable(heads),
        CreateTable(client_conversations),
        CreateTable(conversation_items),
        CreateIndex(items_by_conversation),
        CreateIndex(conversations_by_chat),
    ),
)


# Any number, as long as nobody else's program takes a lock of the same number in the same database.
_LOCK = 7_533_882_268


class NewerSchemaError(Exception):
    """The database was last used by a newer version of this service."""

    def __init__(self, found: int) -> None:
        super().__init__(
            f"a newer version of lettabot has used it (schema {found}; this one knows {len(MIGRATIONS)}); "
            "install that version again, or let server.api.state name another database"
        )


async def migrate(connection: AsyncConnection) -> None:
    """Bring the tables up to date, in the connection's transaction; raises `NewerSchemaError`."""
    if connection.dialect.name == "postgresql":
        # Several processes may start at once. SQLite lets only one of them begin a transaction.
        await connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    await connection.execute(CreateTable(schema_version, if_not_exists=True))
    found = (await connection.execute(schema_version.select())).scalar_one_or_none() or 0
    if found > len(MIGRATIONS):
        raise NewerSchemaError(found)
    for migration in MIGRATIONS[found:]:
        for step in migration:
            await (connection.execute(step) if isinstance(step, DDLElement) else step(connection))
    if found < len(MIGRATIONS):
        await connection.execute(schema_version.delete())
        await connection.execute(schema_version.insert().values(version=len(MIGRATIONS)))
