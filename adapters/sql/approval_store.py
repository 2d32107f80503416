"""An approval store in the database: a user may take the time to answer, and this service may start again meanwhile."""

import time
from collections.abc import Collection, Set

from sqlalchemy import select

from adapters.sql.database import Database
from adapters.sql.schema import approvals
from ports.approval_store import KEPT_FOR


class SqlApprovalStore:
    """`ports.ApprovalStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insertion = database.insertion(approvals)

    async def keep(self, agent_id: str, call_ids: Collection[str], owner: str) -> None:
        now = time.time()
        async with self._database.transaction() as connection:
            await connection.execute(approvals.delete().where(approvals.c.asked_at < now - KEPT_FOR))
            for call_id in call_ids:
                row = {"agent_id": agent_id, "call_id": call_id, "owner": owner, "asked_at": now}
                await connection.execute(self._insertion, row)

    async def asked_of(self, agent_id: str, owner: str) -> Set[str]:
        table = approvals
        wanted = select(table.c.call_id).where(
            table.c.agent_id == agent_id, table.c.owner == owner, table.c.asked_at >= time.time() - KEPT_FOR
        )
        async with self._database.reading() as connection:
            return frozenset(await connection.scalars(wanted))
