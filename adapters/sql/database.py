"""Opens the database: SQLite, in a file that only its owner reads. Its errors become failures of the domain."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from adapters.sql.schema import NewerSchemaError, migrate
from domain.model.failures import BackendError, Delivery, Failure, FailureCode

# Seconds for which a database is waited for that another process has locked.
_PATIENCE = 5.0


class Database:
    """An open database, whose tables are up to date."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Raises `BackendError` (`state_unavailable`, nothing delivered)."""
        try:
            async with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise BackendError(_failure(error)) from error

    async def close(self) -> None:
        await self._engine.dispose()


async def open_database(url: str) -> Database:
    """`url` as SQLAlchemy writes it: sqlite:////absolute/path. Raises `BackendError` (`state_unavailable`)."""
    address = make_url(url)
    try:
        _make_private(Path(address.database or ""))
        engine = create_async_engine(
            address.set(drivername="sqlite+aiosqlite"), hide_parameters=True, connect_args={"timeout": _PATIENCE}
        )
        event.listen(engine.sync_engine, "connect", _prepare)
        event.listen(engine.sync_engine, "begin", _begin)
        database = Database(engine)
        async with database.transaction() as connection:
            await migrate(connection)
    except (OSError, NewerSchemaError) as error:
        raise BackendError(_failure(error)) from error
    return database


def _failure(error: Exception) -> Failure:
    """What is in the rows never stands in the cause."""
    cause = str(getattr(error, "orig", None) or error)
    return Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO, cause, retry_after=5)


def _prepare(connection: Any, _: Any) -> None:
    # Transactions are begun below, because Python's driver would leave the creation of tables out of them.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin(connection: Any) -> None:
    # Immediate: a transaction that wants to write only later may find that another one was faster.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _make_private(file: Path) -> None:
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
