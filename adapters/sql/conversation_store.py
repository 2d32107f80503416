"""A conversation store in the database: chats keep their conversations when the service restarts."""

from sqlalchemy import Select, select

from adapters.sql.database import Database, was_done
from adapters.sql.schema import conversations


class SqlConversationStore:
    """`ports.ConversationStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insertion = database.insertion(conversations)

    async def find(self, agent_id: str, chat: str) -> str | None:
        async with self._database.reading() as connection:
            found: str | None = await connection.scalar(_of(agent_id, chat))
        return found

    async def keep(self, agent_id: str, chat: str, conversation: str) -> str:
        row = {"agent_id": agent_id, "chat": chat, "conversation": conversation}
        async with self._database.transaction() as connection:
            await was_done(connection, self._insertion, row)
            kept: str = await connection.scalar(_of(agent_id, chat))
        return kept

    async def forget(self, agent_id: str, chat: str, conversation: str) -> None:
        table = conversations
        gone = table.delete().where(
            table.c.agent_id == agent_id, table.c.chat == chat, table.c.conversation == conversation
        )
        async with self._database.transaction() as connection:
            await connection.execute(gone)


def _of(agent_id: str, chat: str) -> Select[tuple[str]]:
    table = conversations
    return select(table.c.conversation).where(table.c.agent_id == agent_id, table.c.chat == chat)
