"""Locks between processes on many machines: advisory locks of PostgreSQL, which frees them when a connection ends."""

import asyncio
import hashlib

import psycopg

from domain.model.failures import BackendError, Delivery, Failure, FailureCode

# Seconds in which a connection has to be there.
_PATIENCE = 5


class PostgresLocks:
    """`ports.ProcessLocks`, all on one connection. When that breaks they are free for whoever asks.

    `url` as the settings have it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection[tuple[bool]] | None = None
        self._asking = asyncio.Lock()
        self._taken: set[str] = set()

    async def take(self, name: str) -> bool:
        # On one connection a lock can be taken twice.
        if name in self._taken:
            return False
        if not await self._ask("SELECT pg_try_advisory_lock(%s)", name):
            return False
        self._taken.add(name)
        return True

    async def give_back(self, name: str) -> None:
        if name in self._taken:
            self._taken.discard(name)
            await self._ask("SELECT pg_advisory_unlock(%s)", name)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _ask(self, question: str, name: str) -> bool:
        async with self._asking:
            try:
                if self._connection is None:
                    self._connection = await psycopg.AsyncConnection.connect(
                        self._url, autocommit=True, connect_timeout=_PATIENCE
                    )
                cursor = await self._connection.execute(question, (_number_of(name),))
                answer = await cursor.fetchone()
            except (psycopg.Error, OSError) as error:
                # With the connection, all that was taken is free.
                self._connection = None
                self._taken.clear()
                cause = f"{type(error).__name__}: {error}"
                raise BackendError(Failure(FailureCode.STATE_UNAVAILABLE, Delivery.NO, cause, retry_after=5)) from error
        return answer is not None and answer[0]


def _number_of(name: str) -> int:
    """Locks are numbers of 64 bits."""
    digest = hashlib.sha256(b"lettabot " + name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], signed=True)
