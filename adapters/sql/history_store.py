"""A history store in the database. A history is one value: it is read and written whole."""

import time
from collections.abc import Sequence

import msgspec
from sqlalchemy import select, tuple_

from adapters.sql.database import Database
from adapters.sql.schema import histories
from domain.model.history import ConversationSummary, Said

_decoder = msgspec.json.Decoder(tuple[Said, ...])


class SqlHistoryStore:
    """`ports.HistoryStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, conversation: str) -> Sequence[Said]:
        wanted = select(histories.c.messages).where(histories.c.conversation == conversation)
        async with self._database.reading() as connection:
            kept = await connection.scalar(wanted)
        return () if kept is None else _decoder.decode(kept)

    async def write(self, conversation: str, history: Sequence[Said], of: str = "") -> None:
        now = time.time()
        row = {"messages": msgspec.json.encode(history), "updated_at": now, "list": of, "message_count": len(history)}
        this = histories.c.conversation == conversation
        async with self._database.transaction() as connection:
            if (await connection.execute(histories.update().where(this).values(row))).rowcount == 0:
                await connection.execute(histories.insert().values(conversation=conversation, created_at=now, **row))

    async def listed(self, of: str, most: int, after: str | None = None) -> Sequence[ConversationSummary]:
        this = histories.c
        place = tuple_(this.created_at, this.conversation)
        wanted = select(this.conversation, this.created_at, this.updated_at, this.summary, this.message_count)
        wanted = wanted.where(this.list == of).order_by(this.created_at.desc(), this.conversation.desc()).limit(most)
        async with self._database.reading() as connection:
            if after is not None:
                last = select(this.created_at, this.conversation).where(this.list == of, this.conversation == after)
                if (found := (await connection.execute(last)).one_or_none()) is None:
                    return []
                wanted = wanted.where(place < tuple_(*found))
            return [ConversationSummary(*row) for row in await connection.execute(wanted)]

    async def list_of(self, conversation: str) -> str | None:
        wanted = select(histories.c.list).where(histories.c.conversation == conversation)
        async with self._database.reading() as connection:
            found: str | None = await connection.scalar(wanted)
        return found

    async def name(self, conversation: str, summary: str) -> None:
        named = histories.update().where(histories.c.conversation == conversation).values(summary=summary)
        async with self._database.transaction() as connection:
            await connection.execute(named)

    async def forget(self, conversation: str) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(histories.delete().where(histories.c.conversation == conversation))
