"""A conversation store in the database: chats keep their conversations when the service restarts."""

import time
from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, func, select

from adapters.sql import turn_statements
from adapters.sql.database import Database
from adapters.sql.schema import assignments, conversations


class SqlConversationStore:
    """`ports.ConversationStore`. What is asked now and then only, SQLAlchemy says."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, agent_id: str, chat: str) -> str | None:
        rows = await self._database.carry_out(turn_statements.find_conversation(agent_id, chat))
        return rows[0][0] if rows else None

    async def keep(self, agent_id: str, chat: str, conversation: str) -> str:
        return await self._database.carry_out(turn_statements.keep_conversation(agent_id, chat, conversation))

    async def of_chat(self, chat: str) -> Mapping[str, str]:
        rows = await self._database.carry_out(turn_statements.conversations_of_chat(chat))
        return dict(rows)

    async def forget(self, agent_id: str, chat: str, conversation: str) -> None:
        await self._database.carry_out(turn_statements.forget_conversation(agent_id, chat, conversation))

    async def assign(self, agent_id: str, chat: str, conversation: str | None) -> None:
        columns = conversations.c
        this = (columns.chat == chat) | (columns.conversation == conversation)
        async with self._database.transaction() as connection:
            # One assignment after the other, so that no conversation is given to two chats.
            await self._database.hold(connection, f"assignments of {agent_id}")
            taken = conversations.delete().where(columns.agent_id == agent_id, this).returning(columns.chat)
            changed = {chat, *(await connection.scalars(taken)).all()}
            mine = (assignments.c.agent_id == agent_id) & assignments.c.chat.in_(changed)
            await connection.execute(assignments.delete().where(mine))
            now = time.time()
            rows = [{"agent_id": agent_id, "chat": each, "assigned_at": now} for each in sorted(changed)]
            await connection.execute(assignments.insert(), rows)
            if conversation is not None:
                row = {"agent_id": agent_id, "chat": chat, "conversation": conversation}
                # A turn of this chat may just have opened another one.
                await connection.execute(self._database.insertion(conversations), row)
                new = conversations.update().where(columns.agent_id == agent_id, columns.chat == chat)
                await connection.execute(new.values(conversation=conversation))

    async def was_assigned(self, agent_id: str, chat: str, since: float) -> bool:
        columns = assignments.c
        this = (columns.agent_id == agent_id) & (columns.chat == chat) & (columns.assigned_at >= since)
        async with self._database.reading() as connection:
            return await connection.scalar(select(columns.chat).where(this)) is not None

    async def chats_of(self, agent_id: str, conversations_: Sequence[str]) -> Mapping[str, str]:
        return await self._chats(agent_id, conversations.c.conversation.in_(conversations_))

    async def of_owner(self, agent_id: str, owner: str) -> Mapping[str, str]:
        chat = conversations.c.chat
        if not owner:
            return await self._chats(agent_id, ~chat.contains("\n"))
        return await self._chats(agent_id, func.substr(chat, 1, len(owner) + 1) == f"{owner}\n")

    async def _chats(self, agent_id: str, which: ColumnElement[bool]) -> Mapping[str, str]:
        columns = conversations.c
        wanted = select(columns.conversation, columns.chat).where(columns.agent_id == agent_id, which)
        async with self._database.reading() as connection:
            return {row.conversation: row.chat for row in (await connection.execute(wanted)).all()}
