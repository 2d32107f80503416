"""The state, opened when it is first needed: SQLAlchemy takes a while to import, and most requests need no state."""

import asyncio
from collections import OrderedDict
from importlib import import_module

from ports.conversation_book import ConversationBook

# Chats whose conversation is known without asking the database.
_CACHED = 10_000


class LateConversationBook:
    """`ports.ConversationBook`, in the database at `url`. A database that cannot be opened is tried again each time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opening = asyncio.Lock()
        self._book: ConversationBook | None = None
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def open(self) -> ConversationBook:
        """Bring the database up to date; raises `BackendError` (`state_unavailable`)."""
        async with self._opening:
            if self._book is None:
                database = await asyncio.to_thread(import_module, "adapters.sql.database")
                book = await asyncio.to_thread(import_module, "adapters.sql.conversation_book")
                self._book = book.SqlConversationBook(await database.open_database(self._url))
            assert self._book is not None  # noqa: S101
            return self._book

    async def find(self, agent_id: str, chat: str) -> str | None:
        if known := self._known.get((agent_id, chat)):
            return known
        found = await (await self.open()).find(agent_id, chat)
        return self._remembered(agent_id, chat, found) if found else None

    async def keep(self, agent_id: str, chat: str, conversation: str) -> str:
        return self._remembered(agent_id, chat, await (await self.open()).keep(agent_id, chat, conversation))

    async def forget(self, agent_id: str, chat: str, conversation: str) -> None:
        self._known.pop((agent_id, chat), None)
        await (await self.open()).forget(agent_id, chat, conversation)

    async def close(self) -> None:
        if self._book is not None:
            await self._book.close()

    def _remembered(self, agent_id: str, chat: str, conversation: str) -> str:
        self._known[agent_id, chat] = conversation
        if len(self._known) > _CACHED:
            self._known.popitem(last=False)
        return conversation
