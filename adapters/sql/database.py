"""The database: PostgreSQL, or SQLite in a file that only its owner reads. Its errors become failures."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Executable, Table, event, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from adapters.file_trust import look_at
from adapters.sql.group_commit import Change, Driver, GroupCommit
from adapters.sql.lock_number import lock_number
from adapters.sql.migrations import NewerSchemaError, migrate
from adapters.sql.postgres import connect_options
from adapters.sql.postgres_driver import PostgresDriver
from adapters.sql.sqlite_driver import SqliteDriver, prepare
from adapters.sql.state import Told, nobody
from adapters.sql.write_gate import WriteGate
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError

T = TypeVar("T")

# Seconds for which a database is waited for that another process has locked.
_PATIENCE = 5.0
# SQLite's files beside the one that has the state, and the one of our own.
_BESIDE = ("", "-wal", "-shm", "-journal", ".writing")
# The option of a connection that only reads.
_READING = "lettabot_reading"


class Database:
    """Its tables are brought up to date before the first transaction, and after each failure: somebody may have put
    another database in its place. `file`: where SQLite has it. `told`: see `State`."""

    def __init__(
        self,
        engine: AsyncEngine,
        driver: Driver,
        told: Told,
        file: Path | None = None,
        gate: WriteGate | None = None,
    ) -> None:
        self._engine = engine
        self._group = GroupCommit(driver)
        self._told = told
        self._errors = (SQLAlchemyError, OSError, NewerSchemaError, driver.errors)
        self._file = file
        self._gate = gate
        self._is_known = False
        self._looking = asyncio.Lock()

    async def carry_out(self, change: Change[T]) -> T:
        """A change of `turn_statements`, together with others. Raises as `transaction` does."""
        if not self._is_known:
            await self.ready()
        began_at = time.perf_counter()
        try:
            result = await self._group.carry_out(change)
        except self._errors as error:
            raise await self._failed(error, began_at) from error
        self._told(time.perf_counter() - began_at, True)
        return result

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Raises `FailureError` (`state_unavailable`, nothing delivered)."""
        async with self._careful(), self._begun() as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that changes nothing, and waits for none that does. Raises as `transaction` does."""
        async with self._careful(), self._engine.connect() as connection:
            await connection.execution_options(**{_READING: True})
            yield connection

    async def ready(self) -> None:
        """Return when nothing is to be looked at before the next transaction. Raises as `transaction` does."""
        async with self._careful():
            pass

    @asynccontextmanager
    async def _careful(self) -> AsyncIterator[None]:
        began_at = time.perf_counter()
        try:
            if not self._is_known:
                await self._look()
            yield
        except self._errors as error:
            raise await self._failed(error, began_at) from error
        self._told(time.perf_counter() - began_at, True)

    async def _failed(self, error: Exception, began_at: float) -> FailureError:
        """What to raise instead of an error of the database's."""
        self._told(time.perf_counter() - began_at, False)
        self._is_known = False
        await self._engine.dispose()
        return FailureError(_failure(error))

    async def _look(self) -> None:
        async with self._looking:
            if not self._is_known:
                if self._file is not None:
                    _make_private(self._file)
                async with self._begun() as connection:
                    await migrate(connection)
                self._is_known = True

    @asynccontextmanager
    async def _begun(self) -> AsyncIterator[AsyncConnection]:
        async with self._gate.passed() if self._gate else nullcontext(), self._engine.begin() as connection:
            yield connection

    async def hold(self, connection: AsyncConnection, what: str) -> None:
        """Nobody else's transaction that holds the same goes on before this one is over."""
        # In SQLite, only one transaction at a time may change anything.
        if self._engine.dialect.name == "postgresql":
            await connection.execute(select(func.pg_advisory_xact_lock(lock_number(what))))

    def insertion(self, table: Table) -> Executable:
        """Of a row, unless there is one with its primary key. To be built once: that takes longer than to execute it.

        `was_done` tells whether the row was inserted."""
        # Each dialect has one of its own, for conflicts.
        insert = postgresql.insert(table) if self._engine.dialect.name == "postgresql" else sqlite.insert(table)
        return insert.on_conflict_do_nothing().returning(*table.primary_key)

    async def close(self) -> None:
        await self._group.close()
        await self._engine.dispose()
        if self._gate is not None:
            self._gate.close()


async def was_done(connection: AsyncConnection, change: Executable, row: Mapping[str, Any]) -> bool:
    """Whether an `insertion` of the row has changed anything."""
    return (await connection.execute(change, row)).first() is not None


async def open_database(url: str, shared: bool = False, told: Told = nobody) -> Database:
    """`url` as SQLAlchemy writes it: sqlite:////absolute/path, or postgresql://user:password@host/name.

    `shared`: other processes write to it all the time. Raises `FailureError` (`state_unavailable`)."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        file = Path(address.database or "")
        gate = WriteGate(file.with_name(f"{file.name}.writing") if shared else None, _PATIENCE)
        database = Database(_sqlite(address), SqliteDriver(file, gate, _PATIENCE), told, file, gate)
    else:
        database = Database(_postgresql(address), PostgresDriver(url), told)
    async with database.reading():
        return database


def _sqlite(address: URL) -> AsyncEngine:
    engine = create_async_engine(
        address.set(drivername="sqlite+aiosqlite"), hide_parameters=True, connect_args={"timeout": _PATIENCE}
    )
    event.listen(engine.sync_engine, "connect", lambda connection, _: prepare(connection))
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _postgresql(address: URL) -> AsyncEngine:
    return create_async_engine(
        address.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        # A database that was restarted, or that failed over, is connected to anew.
        pool_pre_ping=True,
        connect_args=connect_options(address.render_as_string(hide_password=False)),
    )


def _failure(error: Exception) -> Failure:
    """What is in the rows never stands in the cause."""
    cause = str(getattr(error, "orig", None) or error)
    return Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO, cause, retry_after=5)


def _begin(connection: Any) -> None:
    # Immediate: a transaction that wants to write only later may find that another one was faster.
    reading = connection.get_execution_options().get(_READING, False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _make_private(file: Path) -> None:
    for ending in _BESIDE:
        finding = look_at(file.with_name(file.name + ending))
        if finding is not None and finding.refused:
            raise PermissionError(finding.text)
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
