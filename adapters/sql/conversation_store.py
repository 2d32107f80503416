"""A conversation store in the database: chats keep their conversations when the service restarts."""

from collections.abc import Mapping

from adapters.sql import turn_statements
from adapters.sql.database import Database


class SqlConversationStore:
    """`ports.ConversationStore`."""

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
