"""Locks between processes on many machines: advisory locks of PostgreSQL, which frees them when a connection ends."""

import asyncio
import logging
from contextlib import suppress

from sqlalchemy import NullPool, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from adapters.sql.lock_number import lock_number
from adapters.sql.postgres import connect_options
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError

# Seconds between looks at whether the connection is still there.
_LOOK_EVERY = 1.0
_LOCK = "SELECT pg_try_advisory_lock(:number)"
# A number of 64 bits is shown there in two halves.
_IS_FREE = """
    WITH wanted AS (SELECT CAST(:number AS bigint) AS number)
    SELECT NOT EXISTS (
        SELECT FROM pg_locks, wanted
        WHERE locktype = 'advisory' AND granted AND objsubid = 1
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND CAST(classid AS bigint) = (number >> 32) & 4294967295 AND CAST(objid AS bigint) = number & 4294967295
    )
"""

logger = logging.getLogger(__name__)


class PostgresLocks:
    """`ports.ProcessLocks`, all on one connection. When that breaks, they are taken again on another one.

    `url` as the settings have it."""

    # After a restart of the database another process may be connected first, and who waits for an answer of the old
    # server notices only when that is taken for dead.
    suspect_after = 12.0

    def __init__(self, url: str) -> None:
        address = make_url(url).set(drivername="postgresql+psycopg")
        # One connection of its own, which lasts: locks end with the connection that took them.
        self._engine = create_async_engine(
            address,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
            connect_args=connect_options(url),
        )
        self._connection: AsyncConnection | None = None
        self._asking = asyncio.Lock()
        # What is this holder's, and what of it this connection has.
        self._taken: set[str] = set()
        self._held: set[str] = set()
        self._watching: asyncio.Task[None] | None = None

    async def acquire(self, name: str) -> bool:
        # On one connection a lock can be taken twice.
        if name in self._taken:
            return False
        if not await self._ask(_LOCK, lock_number(name)):
            return False
        self._taken.add(name)
        self._held.add(name)
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        return True

    async def is_free(self, name: str) -> bool:
        return await self._ask(_IS_FREE, lock_number(name))

    async def release(self, name: str) -> None:
        self._taken.discard(name)
        if name in self._held:
            self._held.discard(name)
            await self._ask("SELECT pg_advisory_unlock(:number)", lock_number(name))

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        if self._connection is not None:
            await self._connection.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            try:
                await self._ask("SELECT :number > 0", 1)
                for name in sorted(self._taken - self._held):
                    if await self._ask(_LOCK, lock_number(name)):
                        self._held.add(name)
            except FailureError as error:
                logger.debug("The locks of this process are lost for now: %s", error)

    async def _ask(self, question: str, number: int) -> bool:
        # Whoever asks may be cancelled: SQLAlchemy would then drop the connection, and with it all locks.
        asking = asyncio.ensure_future(self._asked(question, number))
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(asking)

    async def _asked(self, question: str, number: int) -> bool:
        async with self._asking:
            try:
                if self._connection is None:
                    self._connection = await self._engine.connect()
                answer = await self._connection.scalar(text(question), {"number": number})
            except (SQLAlchemyError, OSError) as error:
                await self._drop_connection()
                self._held.clear()
                cause = f"{type(error).__name__}: {getattr(error, 'orig', None) or error}"
                raise FailureError(Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO, cause, retry_after=5)) from error
        return bool(answer)

    async def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError, OSError):
                await connection.invalidate()
                await connection.close()
