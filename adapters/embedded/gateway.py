"""The embedded backend as an `AgentGateway` with conversations: it reads the message, does the work, and replies."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from adapters.embedded.conversations import Conversations
from adapters.embedded.intents import Decide, GoOn
from adapters.embedded.notebook import Notebook, NotebookError
from adapters.embedded.phrases import parse
from adapters.embedded.replies import Reply, events
from adapters.embedded.tools import carry_out, carry_out_again
from domain.model.agent import Agent
from domain.model.events import Ended, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.history import ConversationSummary, HistoryEntry
from domain.model.instructions import Instruction, read_instructions
from domain.model.turn import Turn

T = TypeVar("T")

logger = logging.getLogger(__name__)


class EmbeddedGateway:
    """Opens the notebook at once, and raises `NotebookError` with advice for the operator if it cannot be used.

    A turn takes no longer than to write it down, so that there is nothing to stop, and no record of anything broken."""

    def __init__(self, database: Path, names: Sequence[str] = ("lettabot",)) -> None:
        self._notebook = Notebook(database)
        self._conversations = Conversations(self._notebook)
        try:
            self._agents = self._notebook.enrol(names)
        except NotebookError:
            self._notebook.close()
            raise
        # One thread: the notebook wants one caller at a time, and the event loop must not wait for the disk.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="notebook")
        self._closed = False

    async def agents(self) -> Sequence[Agent]:
        return self._agents

    async def find(self, name_or_id: str) -> Sequence[Agent]:
        return [agent for agent in self._agents if name_or_id in (agent.name, agent.id)]

    async def check(self) -> None:
        await self._on_worker(self._notebook.check)

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        self._check_agent(turn.agent)
        # The work is done and kept before the first event. So a turn that was accepted survives any hang-up, is never
        # done twice, and a failure of the notebook means for certain that nothing was delivered.
        reply = await self._on_worker(lambda: self._reply(turn))
        # Nobody's first word has to wait for that; and it is done whatever becomes of the client.
        kept = None
        if not self._closed:
            kept = asyncio.get_running_loop().run_in_executor(self._worker, self._keep, turn, reply)
        for event in events(reply):
            if isinstance(event, Ended) and kept is not None:
                await kept
            yield event
            # A long list must not hold up other turns.
            await asyncio.sleep(0)

    async def open_conversation(self, agent: Agent) -> str:
        self._check_agent(agent)
        return await self._on_worker(lambda: self._conversations.open(agent.id))

    async def close_conversation(self, conversation: str) -> None:
        await self._on_worker(lambda: self._conversations.delete(conversation))

    async def fork_conversation(self, agent: Agent, conversation: str) -> str:
        if (fork := await self._on_worker(lambda: self._conversations.fork(agent.id, conversation))) is None:
            raise _gone()
        return fork

    async def conversations(self, agent: Agent, most: int, after: str | None = None) -> Sequence[ConversationSummary]:
        return await self._on_worker(lambda: self._conversations.listed(agent.id, most, after))

    async def rename_conversation(self, agent: Agent, conversation: str, summary: str) -> None:
        if not await self._on_worker(lambda: self._conversations.rename(agent.id, conversation, summary)):
            raise _gone()

    async def read_history(
        self, agent: Agent, conversation: str | None, most: int, before: str | None = None
    ) -> Sequence[HistoryEntry]:
        return await self._on_worker(lambda: self._conversations.read(agent.id, conversation, most, before))

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._worker, self._notebook.close)
            self._worker.shutdown(wait=False)

    def _check_agent(self, agent: Agent) -> None:
        if agent.id not in {known.id for known in self._agents}:
            raise FailureError(Failure(FailureCode.MODEL_NOT_FOUND, Delivery.NO, f"no agent {agent.id}"))

    def _reply(self, turn: Turn) -> Reply:
        if turn.message is None:
            return carry_out(Decide(), self._notebook, turn.agent.id)
        asides, text = read_instructions(turn.message.text)
        if turn.message.images and not text.strip():
            return Reply("A picture.", "I cannot look at pictures: I am a small notebook, and read text only.")
        if Instruction.GO_ON in asides and not text.strip():
            return carry_out(GoOn(), self._notebook, turn.agent.id)
        return (carry_out_again if asides else carry_out)(parse(text), self._notebook, turn.agent.id)

    def _keep(self, turn: Turn, reply: Reply) -> None:
        if turn.message is None:
            return
        try:
            self._conversations.keep(turn.agent.id, turn.conversation, turn.message.text, reply)
        except NotebookError as error:
            # What was asked for is done.
            logger.warning("What was said to the notebook cannot be kept: %s", error)

    async def _on_worker(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise FailureError(Failure(FailureCode.SHUTTING_DOWN, Delivery.NO, "the notebook is closed"))
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, work)
        except NotebookError as error:
            raise FailureError(Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO, str(error))) from error


def _gone() -> FailureError:
    return FailureError(Failure(FailureCode.CONVERSATION_GONE, Delivery.NO, "the agent has no such conversation"))
