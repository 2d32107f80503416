"""A store of clients' conversations in the database."""

import time
from collections.abc import Sequence

import msgspec
from sqlalchemy import func, select

from adapters.sql import response_statements
from adapters.sql.database import Database
from adapters.sql.schema import client_conversations, conversation_items
from domain.model.client_conversation import MOST_BYTES, MOST_ITEMS, ClientConversation, ConversationItem
from ports.client_conversation_store import MOST_CONVERSATIONS

# Seconds between two looks whether there are too many.
_SWEEP_EVERY = 300.0

_decoder = msgspec.json.Decoder(ClientConversation)


class SqlClientConversationStore:
    """`ports.ClientConversationStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sweep_at = 0.0

    async def keep(self, conversation: ClientConversation) -> None:
        row = {
            "owner": conversation.owner,
            "made_at": conversation.made_at,
            "conversation": msgspec.json.encode(conversation),
        }
        this = client_conversations.c.id == conversation.id
        async with self._database.transaction() as connection:
            if (await connection.execute(client_conversations.update().where(this).values(row))).rowcount == 0:
                await connection.execute(client_conversations.insert().values(id=conversation.id, **row))
        await self._sweep()

    async def find(self, conversation_id: str) -> ClientConversation | None:
        wanted = select(client_conversations.c.conversation).where(client_conversations.c.id == conversation_id)
        async with self._database.reading() as connection:
            found = await connection.scalar(wanted)
        return None if found is None else _decoder.decode(found)

    async def delete(self, conversation_id: str) -> None:
        items = conversation_items.delete().where(conversation_items.c.conversation_id == conversation_id)
        async with self._database.transaction() as connection:
            await connection.execute(client_conversations.delete().where(client_conversations.c.id == conversation_id))
            await connection.execute(items)

    async def add_items(self, conversation_id: str, items: Sequence[ConversationItem]) -> bool:
        held = select(func.count(), func.coalesce(func.sum(func.length(conversation_items.c.content)), 0)).where(
            conversation_items.c.conversation_id == conversation_id
        )
        rows = [
            {"id": item.id, "conversation_id": conversation_id, "made_at": item.made_at, "content": item.content}
            for item in items
        ]
        async with self._database.transaction() as connection:
            await self._database.hold(connection, f"items of {conversation_id}")
            count, size = (await connection.execute(held)).one()
            added = sum(len(item.content) for item in items)
            if count + len(items) > MOST_ITEMS or int(size) + added > MOST_BYTES:
                return False
            if rows:
                await connection.execute(conversation_items.insert(), rows)
        return True

    async def items(self, conversation_id: str) -> Sequence[ConversationItem]:
        rows = await self._database.carry_out(response_statements.find_items(conversation_id))
        return [ConversationItem(id_, made_at, bytes(content)) for id_, made_at, content in rows]

    async def delete_item(self, conversation_id: str, item_id: str) -> None:
        columns = conversation_items.c
        this = (columns.conversation_id == conversation_id) & (columns.id == item_id)
        async with self._database.transaction() as connection:
            await connection.execute(conversation_items.delete().where(this))

    async def _sweep(self) -> None:
        now = time.time()
        if now < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP_EVERY
        ids = client_conversations.c.id
        kept = select(ids).order_by(client_conversations.c.made_at.desc()).limit(MOST_CONVERSATIONS)
        async with self._database.transaction() as connection:
            count = await connection.scalar(select(func.count()).select_from(client_conversations)) or 0
            if count > MOST_CONVERSATIONS:
                await connection.execute(client_conversations.delete().where(ids.not_in(kept)))
                gone = conversation_items.c.conversation_id.not_in(select(ids))
                await connection.execute(conversation_items.delete().where(gone))
