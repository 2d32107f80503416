"""Writes that fail: a trigger in the database refuses some of them, as a full disk does. SQLite and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from sqlalchemy import create_engine, make_url, text


class Write(msgspec.Struct, frozen=True):
    """What is refused: an INSERT, UPDATE or DELETE of rows of that table for which the condition holds."""

    table: str
    what: str
    when: str = "true"


class Disk:
    """Of the state at `url`, in which the tables are."""

    def __init__(self, url: str) -> None:
        address = make_url(url)
        self._is_postgres = address.get_backend_name() == "postgresql"
        self._engine = create_engine(address.set(drivername="postgresql+psycopg") if self._is_postgres else address)

    @asynccontextmanager
    async def full_for(self, write: Write) -> AsyncIterator[None]:
        # In threads: it may have to wait for a transaction of the loop's.
        await asyncio.to_thread(self._refuse, write)
        try:
            yield
        finally:
            await asyncio.to_thread(self._allow, write)

    def tasks(self) -> dict[str, str]:
        """What the engine knows of each task."""
        with self._engine.connect() as connection:
            found = connection.execute(text(f"SELECT workflow_uuid, status FROM {self._name_of('workflow_status')}"))
            return {row.workflow_uuid: row.status for row in found}

    def close(self) -> None:
        self._engine.dispose()

    def _name_of(self, table: str) -> str:
        return f"dbos.{table}" if self._is_postgres and table.startswith("workflow_") else table

    def _allow(self, write: Write) -> None:
        on = f" ON {self._name_of(write.table)}" if self._is_postgres else ""
        with self._engine.begin() as connection:
            connection.execute(text(f"DROP TRIGGER full_disk{on}"))

    def _refuse(self, write: Write) -> None:
        head = f"CREATE TRIGGER full_disk BEFORE {write.what} ON {self._name_of(write.table)} FOR EACH ROW"
        if self._is_postgres:
            refuse = "BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END"
            steps = [
                f"CREATE OR REPLACE FUNCTION refuse() RETURNS trigger AS $$ {refuse} $$ LANGUAGE plpgsql",
                f"{head} WHEN ({write.when}) EXECUTE FUNCTION refuse()",
            ]
        else:
            steps = [f"{head} WHEN {write.when} BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"]
        with self._engine.begin() as connection:
            for step in steps:
                connection.execute(text(step))
