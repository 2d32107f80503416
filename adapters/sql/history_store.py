"""A history store in the database. A history is one value: it is read and written whole."""

import time
from collections.abc import Sequence

import msgspec
from sqlalchemy import select

from adapters.sql.database import Database
from adapters.sql.schema import histories
from domain.model.history import Said

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

    async def write(self, conversation: str, history: Sequence[Said]) -> None:
        row = {"messages": msgspec.json.encode(history), "updated_at": time.time()}
        this = histories.c.conversation == conversation
        async with self._database.transaction() as connection:
            if (await connection.execute(histories.update().where(this).values(row))).rowcount == 0:
                await connection.execute(histories.insert().values(conversation=conversation, **row))

    async def forget(self, conversation: str) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(histories.delete().where(histories.c.conversation == conversation))
