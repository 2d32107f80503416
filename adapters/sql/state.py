"""The state, opened when it is first needed: SQLAlchemy takes a while to import, and most requests need no state."""

import asyncio
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.sql.database import Database

Told = Callable[[float, bool], None]


def nobody(seconds: float, is_well: bool) -> None:
    """Is told of nothing."""


# The database, and the stores in it.
_NEEDED = (
    "adapters.sql.database",
    "adapters.sql.conversation_store",
    "adapters.sql.turn_store",
    "adapters.sql.approval_store",
    "adapters.sql.history_store",
    "adapters.sql.response_store",
    "adapters.sql.client_conversation_store",
    "adapters.sql.job_store",
    "adapters.sql.turn_report_store",
)
_FOR_A_CHAT = (
    "sqlalchemy",
    "sqlalchemy.ext.asyncio",
    "aiosqlite",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    *_NEEDED,
)


class State:
    """The database at `url`. One that cannot be opened is tried again each time.

    `shared`: other processes write to it all the time. `told`: of each use, its time and whether it went well."""

    def __init__(self, url: str, shared: bool = False, told: Told = nobody) -> None:
        self._url = url
        self._shared = shared
        self._told = told
        self._opening = asyncio.Lock()
        self._database: Database | None = None

    async def database(self) -> "Database":
        """Its tables are up to date; raises `FailureError` (`state_unavailable`)."""
        async with self._opening:
            if self._database is None:
                module, *_ = await asyncio.to_thread(lambda: [import_module(name) for name in _NEEDED])
                self._database = await module.open_database(self._url, self._shared, self._told)
            assert self._database is not None  # noqa: S101
            return self._database

    async def import_ahead(self) -> None:
        """What is imported for the first chat, so that it need not wait for that. Nothing is opened or made."""
        for module in _FOR_A_CHAT:
            await asyncio.to_thread(import_module, module)

    def exists(self) -> bool:
        """Whether anything can have been kept: a file is made when it is first needed."""
        scheme, _, place = self._url.partition(":///")
        return scheme != "sqlite" or Path(place).exists()

    async def close(self) -> None:
        if self._database is not None:
            await self._database.close()
