"""The state, opened when it is first needed: SQLAlchemy takes a while to import, and most requests need no state."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from domain.model.job import Job, JobRules, JobState, OpenJob
from domain.model.turn_record import History, TurnRecord
from ports.approval_store import ApprovalStore
from ports.conversation_store import ConversationStore
from ports.job_store import JobStore
from ports.turn_store import TurnStore

if TYPE_CHECKING:
    from adapters.sql.database import Database

T = TypeVar("T")

_FOR_A_CHAT = (
    "sqlalchemy",
    "sqlalchemy.ext.asyncio",
    "aiosqlite",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "adapters.sql.database",
    "adapters.sql.conversation_store",
    "adapters.sql.turn_store",
)
# Chats whose conversation is known without asking the database.
_CACHED = 10_000


class State:
    """The database at `url`. One that cannot be opened is tried again each time.

    `shared`: other processes write to it all the time."""

    def __init__(self, url: str, shared: bool = False) -> None:
        self._url = url
        self._shared = shared
        self._opening = asyncio.Lock()
        self._database: Database | None = None

    async def database(self) -> "Database":
        """Its tables are up to date; raises `FailureError` (`state_unavailable`)."""
        async with self._opening:
            if self._database is None:
                module = await asyncio.to_thread(import_module, "adapters.sql.database")
                self._database = await module.open_database(self._url, self._shared)
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


class _Late(Generic[T]):
    """Makes one of the classes that import SQLAlchemy, with the open database."""

    def __init__(self, state: State, module: str, make: Callable[[Any, "Database"], T]) -> None:
        self._state = state
        self._module = module
        self._make = make
        self._made: T | None = None

    async def __call__(self) -> T:
        if self._made is None:
            database = await self._state.database()
            module = await asyncio.to_thread(import_module, self._module)
            # Somebody else may have made one meanwhile; there is no harm in two.
            self._made = self._make(module, database)
        return self._made


class LateConversationStore:
    """`ports.ConversationStore`."""

    def __init__(self, state: State) -> None:
        self._store: _Late[ConversationStore] = _Late(
            state, "adapters.sql.conversation_store", lambda module, database: module.SqlConversationStore(database)
        )
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def find(self, agent_id: str, chat: str) -> str | None:
        if known := self._known.get((agent_id, chat)):
            return known
        found = await (await self._store()).find(agent_id, chat)
        return self._remembered(agent_id, chat, found) if found else None

    async def keep(self, agent_id: str, chat: str, conversation: str) -> str:
        return self._remembered(agent_id, chat, await (await self._store()).keep(agent_id, chat, conversation))

    async def forget(self, agent_id: str, chat: str, conversation: str) -> None:
        self._known.pop((agent_id, chat), None)
        await (await self._store()).forget(agent_id, chat, conversation)

    def _remembered(self, agent_id: str, chat: str, conversation: str) -> str:
        self._known[agent_id, chat] = conversation
        if len(self._known) > _CACHED:
            self._known.popitem(last=False)
        return conversation


class LateApprovalStore:
    """`ports.ApprovalStore`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._store: _Late[ApprovalStore] = _Late(
            state, "adapters.sql.approval_store", lambda module, database: module.SqlApprovalStore(database)
        )

    async def keep(self, agent_id: str, call_ids: Collection[str], owner: str) -> None:
        await (await self._store()).keep(agent_id, call_ids, owner)

    async def asked_of(self, agent_id: str, owner: str) -> Set[str]:
        return await (await self._store()).asked_of(agent_id, owner) if self._state.exists() else frozenset()


class LateTurnStore:
    """`ports.TurnStore`. `answers_kept_for`: see `SqlTurnStore`."""

    def __init__(self, state: State, answers_kept_for: float) -> None:
        self._store: _Late[TurnStore] = _Late(
            state,
            "adapters.sql.turn_store",
            lambda module, database: module.SqlTurnStore(database, answers_kept_for),
        )

    async def claim(self, key: str, record: TurnRecord) -> TurnRecord | None:
        return await (await self._store()).claim(key, record)

    async def history(self, lane: str, apart_from: str) -> History:
        return await (await self._store()).history(lane, apart_from)

    async def replace(self, key: str, record: TurnRecord, delivery_id: str) -> None:
        await (await self._store()).replace(key, record, delivery_id)

    async def revoke(self, key: str, delivery_id: str) -> None:
        await (await self._store()).revoke(key, delivery_id)

    async def release(self, key: str, delivery_id: str) -> None:
        await (await self._store()).release(key, delivery_id)


class LateJobStore:
    """`ports.JobStore`. `answers_kept_for`: see `SqlJobStore`."""

    def __init__(self, state: State, answers_kept_for: float) -> None:
        self._state = state
        self._store: _Late[JobStore] = _Late(
            state, "adapters.sql.job_store", lambda module, database: module.SqlJobStore(database, answers_kept_for)
        )

    async def add(self, job: Job, message: str, rules: JobRules) -> Job:
        return await (await self._store()).add(job, message, rules)

    async def find(self, job_id: str) -> Job | None:
        return await (await self._store()).find(job_id)

    async def message(self, job_id: str) -> str | None:
        return await (await self._store()).message(job_id)

    async def alike(self, body: bytes) -> Job | None:
        return await (await self._store()).alike(body)

    async def change(self, job_id: str, step: Callable[[Job], Job]) -> Job | None:
        return await (await self._store()).change(job_id, step)

    async def open(self) -> Sequence[OpenJob]:
        return await (await self._store()).open() if self._state.exists() else ()

    async def counts(self) -> Mapping[JobState, int]:
        return await (await self._store()).counts() if self._state.exists() else {}
