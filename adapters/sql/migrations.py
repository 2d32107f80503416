"""How each version of the tables became the next one. A version that was released is never changed."""

from collections.abc import Awaitable, Callable, Sequence, Set

import msgspec
from sqlalchemy import Connection, func, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from adapters.sql.schema import (
    approvals,
    assignments,
    client_conversations,
    conversation_items,
    conversations,
    conversations_by_chat,
    conversations_of_agent,
    heads,
    histories,
    histories_by_list,
    items_by_conversation,
    jobs,
    jobs_by_body,
    jobs_by_owner,
    jobs_by_state,
    keys,
    open_jobs,
    open_jobs_by_owner,
    response_events,
    responses,
    responses_by_size,
    schema_version,
    tickets,
    tickets_by_lane,
    turn_reports,
    turn_reports_by_holder,
    turns,
    turns_by_end,
    turns_by_lane,
)
from domain.model.api_key import Caller
from domain.model.identity import Identity
from domain.model.job import Job


class _OldJob(msgspec.Struct):
    text: str


class _OwnedJob(msgspec.Struct):
    owner: str


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


async def _add_owners_of_jobs(connection: AsyncConnection) -> None:
    """One by one: there may be many. A new database has them already."""
    if "owner" in await connection.run_sync(_column_names, jobs.name):
        return
    await connection.execute(text("ALTER TABLE lettabot_jobs ADD COLUMN owner VARCHAR"))
    for id_ in (await connection.scalars(select(jobs.c.id))).all():
        kept = await connection.scalar(select(jobs.c.job).where(jobs.c.id == id_)) or b""
        try:
            owner = msgspec.json.decode(kept, type=_OwnedJob).owner
        except msgspec.MsgspecError:
            continue
        await connection.execute(jobs.update().where(jobs.c.id == id_).values(owner=owner))


async def _describe_histories(connection: AsyncConnection) -> None:
    """With what a list of conversations tells; a new database has that already."""
    there = await connection.run_sync(_column_names, histories.name)
    columns = ("list VARCHAR NOT NULL DEFAULT ''", "created_at FLOAT NOT NULL DEFAULT 0")
    for column in (*columns, "summary VARCHAR NOT NULL DEFAULT ''", "message_count INTEGER"):
        if column.partition(" ")[0] not in there:
            await connection.execute(text(f"ALTER TABLE {histories.name} ADD COLUMN {column}"))


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
    (
        CreateTable(turn_reports),
        CreateIndex(turn_reports_by_holder),
        _add_owners_of_jobs,
        CreateIndex(jobs_by_owner),
    ),
    (CreateTable(assignments), CreateIndex(conversations_of_agent)),
    (_describe_histories, CreateIndex(histories_by_list)),
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
