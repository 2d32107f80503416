"""Notices through PostgreSQL: LISTEN on a connection of their own, NOTIFY beside the changes of the state."""

import asyncio
import logging
from collections.abc import Callable

import psycopg

from adapters.sql import turn_statements
from adapters.sql.postgres import connect_options
from adapters.sql.state import State
from domain.model.failures import FailureError

_CHANNEL = "lettabot"
# Seconds before a connection that was lost is made again.
_TRY_EVERY = 1.0

logger = logging.getLogger(__name__)


class PostgresNotices:
    """`ports.Notices`. `url` as the settings have it."""

    def __init__(self, url: str, state: State) -> None:
        self._url = url
        self._state = state
        self._listening: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()

    def tell(self, topic: str) -> None:
        telling = asyncio.create_task(self._tell(topic))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    def listen(self, heard: Callable[[str], None]) -> None:
        self._listening = asyncio.create_task(self._listen(heard))

    async def close(self) -> None:
        if self._telling:
            await asyncio.wait(self._telling, timeout=_TRY_EVERY)
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])

    async def _tell(self, topic: str) -> None:
        try:
            database = await self._state.database()
            await database.carry_out(turn_statements.notify(_CHANNEL, topic))
        except FailureError as error:
            logger.debug("Other processes could not be notified: %s", error)

    async def _listen(self, heard: Callable[[str], None]) -> None:
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, **connect_options(self._url)
                )
                async with connection:
                    await connection.execute(f"LISTEN {_CHANNEL}")
                    async for notice in connection.notifies():
                        heard(notice.payload)
            except (psycopg.Error, OSError) as error:
                logger.debug("Notices of other processes are not heard for now: %s", error)
            await asyncio.sleep(_TRY_EVERY)
