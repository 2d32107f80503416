"""A gateway whose conversations can be listed, and one that can only talk. Both are around the usual fake."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from domain.model.agent import Agent
from domain.model.events import Accepted, Ended, Reasoning, Text, ToolCall, ToolResult, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.history import ConversationSummary, HistoryEntry
from domain.model.turn import Turn
from tests.fakes.gateway import FakeGateway, Step

TOOL_TURN: list[Step] = [
    Accepted(),
    Reasoning("Let me see."),
    ToolCall("1", "look"),
    ToolCall("1", arguments='{"at":1}'),
    ToolResult("1", "seen", ok=False),
    Text("Yes."),
    Ended(),
]


class PlainGateway:
    """Can only talk."""

    def __init__(self) -> None:
        self.hears_slow = asyncio.Event()
        self.inner = FakeGateway(answers={"tool": TOOL_TURN, "slow": [Accepted(), 30.0, Ended()]})

    async def agents(self) -> Sequence[Agent]:
        return await self.inner.agents()

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        async for event in self.inner.run(turn):
            if turn.message is not None and turn.message.text == "slow":
                self.hears_slow.set()
            yield event

    async def close(self) -> None:
        await self.inner.close()


class ListingGateway(PlainGateway):
    """Its conversations can be made, listed, named, copied and read."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.forks: list[str] = []

    async def open_conversation(self, agent: Agent) -> str:
        made = await self.inner.open_conversation(agent)
        self.owners[made] = agent.id
        return made

    async def close_conversation(self, conversation: str) -> None:
        self._check(conversation)
        await self.inner.close_conversation(conversation)

    async def fork_conversation(self, agent: Agent, conversation: str) -> str:
        self._check(conversation)
        self.forks.append(conversation)
        return await self.open_conversation(agent)

    async def rename_conversation(self, agent: Agent, conversation: str, summary: str) -> None:
        self._check(conversation)
        self.names[conversation] = summary

    async def conversations(self, agent: Agent, most: int, after: str | None = None) -> Sequence[ConversationSummary]:
        ids = [each for each in reversed(self.inner.kept_conversations) if self.owners[each] == agent.id]
        if after is not None:
            ids = ids[ids.index(after) + 1 :] if after in ids else []
        return [ConversationSummary(each, 1e9, 0.0, self.names.get(each, ""), 2) for each in ids[: min(most, 3)]]

    async def read_history(
        self, agent: Agent, conversation: str | None, most: int, before: str | None = None
    ) -> list[HistoryEntry]:
        entries: list[HistoryEntry] = []
        for number, run in enumerate(self.inner.runs.values()):
            if run.turn.conversation == conversation and run.turn.agent.id == agent.id and run.turn.message is not None:
                entries.append(HistoryEntry(f"u{number}", 1e9 + number, user=run.turn.message.text))
                said = tuple(event for event in run.events if not isinstance(event, Accepted | Ended))
                entries.append(HistoryEntry(f"a{number}", 1e9 + number, events=said))
        ids = [entry.id for entry in entries]
        if before is not None:
            entries = entries[: ids.index(before)] if before in ids else []
        return entries[-most:]

    def _check(self, conversation: str) -> None:
        if conversation not in self.inner.kept_conversations:
            raise FailureError(Failure(FailureCode.CONVERSATION_GONE, Delivery.NO))
