"""A gateway that follows a script: events, pauses and failures, chosen by the text of the user message.

Like Letta it remembers what was delivered, keeps runs and conversations, and can be told to stop a run."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Mapping, Sequence

import msgspec

from domain.model.agent import Agent
from domain.model.events import (
    Accepted,
    ApprovalRequest,
    Ended,
    Failed,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    TurnEvent,
)
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.history import ConversationSummary, HistoryEntry
from domain.model.run_record import RunRecord, RunSearch
from domain.model.turn import Turn
from ports.abilities import CannotDeduplicateError

Step = TurnEvent | float | Failure
"""A float is a pause in seconds; a failure is raised; an event is yielded."""

ANNA = Agent("agent-00000000-0000-4000-8000-00000000000a", "anna", 1_700_000_000)
BERT = Agent("agent-00000000-0000-4000-8000-00000000000b", "bert", 1_700_000_060)

_CANCELLED = Failure(FailureCode.CANCELLED, Delivery.UNKNOWN)


class Run:
    """What became of one delivery. A run goes on when its connection breaks; `finishes` is when it is over."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.events: list[TurnEvent] = []
        self.cancelled = asyncio.Event()
        self.kept = True

    @property
    def over(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], Ended | Failed)


class FakeGateway:
    """Everything is public: tests set `known`, `answers` and `down`, and read what happened from the lists.

    A script is played as it is, so it says `Accepted` and `Ended` itself. A message without a script is echoed.
    `delivered` is what the agents remember: a run that is cancelled in its first step is taken off it."""

    delivery_ids_remembered_for = 2.5 * 3600
    deduplicates_all = False
    stop_recorded_within = 1.0

    def __init__(
        self, agents: Sequence[Agent] = (ANNA, BERT), answers: Mapping[str, Sequence[Step]] | None = None
    ) -> None:
        self.known = list(agents)
        self.answers = dict(answers or {})
        self.down: Failure | None = None
        self.delivered: list[Turn] = []
        self.closed_early: list[Turn] = []
        self.listings = 0
        self.lookups: list[str] = []
        self.closed = False
        self.runs: dict[str, Run] = {}
        self.records: dict[str, list[RunRecord | FailureError | None]] = {}
        self.alike: set[str] = set()
        self.cancelled: list[str] = []
        self.kept_conversations: list[str] = []
        self.summaries: dict[str, ConversationSummary] = {}
        self.agents_of: dict[str, str] = {}
        self.copied: dict[str, Sequence[HistoryEntry]] = {}
        self.opened = 0
        self.waiting: dict[tuple[str, str | None], list[ApprovalRequest]] = {}
        self.busy: set[tuple[str, str | None]] = set()
        self.at_once: dict[tuple[str, str | None], int] = {}
        self.most_at_once = 0
        self.deduplicates = True
        self._numbers = itertools.count(1)

    async def agents(self) -> Sequence[Agent]:
        self.listings += 1
        await self.check()
        return sorted(self.known, key=lambda agent: agent.created_at)

    async def find(self, name_or_id: str) -> Sequence[Agent]:
        self.lookups.append(name_or_id)
        await self.check()
        return [agent for agent in self.known if name_or_id in (agent.name, agent.id)]

    async def check(self) -> None:
        if self.down is not None:
            raise FailureError(self.down)

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        await self.check()
        place = (turn.agent.id, turn.conversation)
        if turn.agent.id not in {agent.id for agent in self.known}:
            raise FailureError(Failure(FailureCode.MODEL_NOT_FOUND, Delivery.NO))
        if turn.conversation is not None and turn.conversation not in self.kept_conversations:
            raise FailureError(Failure(FailureCode.CONVERSATION_GONE, Delivery.NO))
        if turn.deduplicated and not self.deduplicates:
            raise CannotDeduplicateError
        if turn.deduplicated and (seen := self._run_of(turn)) is not None:
            async for event in self._replay(self.runs[seen], seen):
                yield event
            return
        if place in self.busy:
            raise FailureError(Failure(FailureCode.CONVERSATION_BUSY, Delivery.NO, retry_after=5))
        if self.waiting.get(place) and turn.verdict is None:
            yield Accepted("run-refused")
            raise FailureError(Failure(FailureCode.APPROVAL_PENDING, Delivery.NO))
        self.waiting.pop(place, None)
        run_id = f"run-{next(self._numbers)}"
        run = self.runs[run_id] = Run(turn)
        self.at_once[place] = self.at_once.get(place, 0) + 1
        self.most_at_once = max(self.most_at_once, self.at_once[place])
        over = False
        try:
            async for event in self._play(run, run_id):
                over = isinstance(event, Ended)
                yield event
            over = True
        except FailureError:
            over = True
            raise
        finally:
            self.at_once[place] -= 1
            if not over:
                self.closed_early.append(turn)

    async def cancel(self, turn: Turn, run_id: str) -> None:
        await self.check()
        # Whoever has found the run of an earlier process may know less of its turn.
        assert self.runs[run_id].turn.delivery_id == turn.delivery_id
        self.cancelled.append(run_id)
        self.runs[run_id].cancelled.set()

    async def record(self, turn: Turn, run_id: str) -> RunRecord | None:
        await self.check()
        if planned := self.records.get(run_id):
            found = planned.pop(0) if len(planned) > 1 else planned[0]
            if isinstance(found, FailureError):
                raise found
            return found
        run = self.runs[run_id]
        over = run.over
        events = tuple(event for event in run.events if not isinstance(event, Accepted))
        return RunRecord(over, run.kept, events if run.kept or not over else events[-1:])

    async def find_run(self, turn: Turn) -> RunSearch:
        await self.check()
        run_id = self._run_of(turn)
        if run_id is not None and not self.runs[run_id].kept:
            return RunSearch(undecided=not self.runs[run_id].over)
        place = (turn.agent.id, turn.conversation)
        alike = turn.message is not None and turn.message.text in self.alike
        return RunSearch(run_id, run_id is None and self.at_once.get(place, 0) > 0, alike)

    async def approvals(self, turn: Turn) -> Sequence[ApprovalRequest]:
        await self.check()
        return self.waiting.get((turn.agent.id, turn.conversation), [])

    async def open_conversation(self, agent: Agent) -> str:
        await self.check()
        if agent.id not in {known.id for known in self.known}:
            raise FailureError(Failure(FailureCode.MODEL_NOT_FOUND, Delivery.NO))
        self.opened += 1
        opened = f"conversation-{self.opened}"
        self.kept_conversations.append(opened)
        self.summaries[opened] = ConversationSummary(opened, 1_700_000_000.0 + self.opened)
        self.agents_of[opened] = agent.id
        return opened

    async def close_conversation(self, conversation: str) -> None:
        await self.check()
        self.kept_conversations.remove(conversation)

    async def fork_conversation(self, agent: Agent, conversation: str) -> str:
        await self._check_conversation(agent, conversation)
        fork = await self.open_conversation(agent)
        self.copied[fork] = self._entries(agent, conversation)
        return fork

    async def conversations(self, agent: Agent, most: int, after: str | None = None) -> Sequence[ConversationSummary]:
        await self.check()
        own = [each for each in reversed(self.kept_conversations) if self.agents_of.get(each, agent.id) == agent.id]
        if after is not None:
            own = own[own.index(after) + 1 :] if after in own else []
        return [self.summaries.get(each, ConversationSummary(each)) for each in own[:most]]

    async def rename_conversation(self, agent: Agent, conversation: str, summary: str) -> None:
        await self._check_conversation(agent, conversation)
        kept = self.summaries.get(conversation, ConversationSummary(conversation))
        self.summaries[conversation] = msgspec.structs.replace(kept, summary=summary)

    async def read_history(
        self, agent: Agent, conversation: str | None, most: int, before: str | None = None
    ) -> Sequence[HistoryEntry]:
        await self.check()
        entries = self._entries(agent, conversation)
        if before is not None:
            ids = [entry.id for entry in entries]
            entries = entries[: ids.index(before)] if before in ids else []
        return entries[-most:]

    async def close(self) -> None:
        self.closed = True

    @property
    def heard(self) -> list[str]:
        """The texts of what was delivered, oldest first."""
        return [turn.message.text for turn in self.delivered if turn.message]

    async def _check_conversation(self, agent: Agent, conversation: str) -> None:
        await self.check()
        if conversation not in self.kept_conversations or self.agents_of.get(conversation, agent.id) != agent.id:
            raise FailureError(Failure(FailureCode.CONVERSATION_GONE, Delivery.NO))

    def _entries(self, agent: Agent, conversation: str | None) -> list[HistoryEntry]:
        """Oldest first."""
        entries = list(self.copied.get(conversation or "", ()))
        for number, run in enumerate(self.runs.values()):
            turn = run.turn
            if run.kept and (turn.agent.id, turn.conversation) == (agent.id, conversation) and turn.message is not None:
                entries.append(HistoryEntry(f"u{number}", 10.0**10 + number, user=turn.message.text))
                said = tuple(
                    event for event in run.events if isinstance(event, Text | Reasoning | ToolCall | ToolResult)
                )
                if said:
                    entries.append(HistoryEntry(f"a{number}", 10.0**10 + number, events=said))
        return entries

    def _run_of(self, turn: Turn) -> str | None:
        return next((id_ for id_, run in self.runs.items() if run.turn.delivery_id == turn.delivery_id), None)

    async def _replay(self, run: Run, run_id: str) -> AsyncGenerator[TurnEvent, None]:
        yield Accepted(run_id)
        position = 0
        while not run.over or position < len(run.events):
            for event in run.events[position:]:
                position += 1
                if isinstance(event, Failed):
                    raise FailureError(event.failure)
                if not isinstance(event, Accepted):
                    yield event
            await asyncio.sleep(0.1)

    async def _play(self, run: Run, run_id: str) -> AsyncGenerator[TurnEvent, None]:
        turn = run.turn
        text = turn.message.text if turn.message else "a verdict"
        script = self.answers.get(text, echo(text))
        if not any(isinstance(step, Failure) and step.delivery is Delivery.NO for step in script):
            self.delivered.append(turn)
        for step in script:
            if isinstance(step, float | int):
                if await _happens_within(run.cancelled, step):
                    self._stop(run)
            elif isinstance(step, Failure):
                if step.code is not FailureCode.CONNECTION_LOST:
                    run.events.append(Failed(step))
                run.kept = step.delivery is not Delivery.NO
                raise FailureError(step)
            else:
                event = Accepted(run_id) if isinstance(step, Accepted) and step.run_id is not None else step
                if isinstance(event, ApprovalRequest):
                    self.waiting.setdefault((turn.agent.id, turn.conversation), []).append(event)
                run.events.append(event)
                yield event

    def _stop(self, run: Run) -> None:
        run.kept = any(isinstance(event, ToolResult) for event in run.events)
        if not run.kept:
            self.delivered.remove(run.turn)
        run.events.append(Failed(msgspec.structs.replace(_CANCELLED)))
        raise FailureError(_CANCELLED)


async def _happens_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


def echo(text: str) -> Sequence[Step]:
    """The answer to a message that has no script."""
    return (Accepted("run-fake"), Text("You said: "), Text(text), Ended())
