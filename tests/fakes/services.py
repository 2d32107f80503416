"""The services around turns, wired as the container wires them, with a fake gateway at the bottom."""

import asyncio
import itertools
from collections.abc import Sequence

from adapters.memory.approval_store import MemoryApprovalStore
from adapters.memory.conversation_store import MemoryConversationStore
from adapters.memory.response_store import MemoryResponseStore
from adapters.memory.turn_store import MemoryTurnStore
from domain.model.answer_text import whole_text
from domain.model.events import Failed, TurnEvent
from domain.model.failures import Failure
from domain.model.identity import Identity
from domain.model.job import JobRules
from domain.model.turn import TurnRequest, UserMessage
from domain.model.turn_rules import TurnRules
from domain.services.answer_recovery import AnswerRecovery
from domain.services.api_keys import ApiKeys
from domain.services.approval_guard import ApprovalGuard
from domain.services.backends import Backend, Backends
from domain.services.conversation_heads import ConversationHeads
from domain.services.conversations import Conversations
from domain.services.disconnect_policy import DisconnectPolicy
from domain.services.idempotent_runner import IdempotentRunner
from domain.services.job_callbacks import JobCallbacks
from domain.services.job_runner import JobRunner
from domain.services.job_scheduler import JobScheduler
from domain.services.jobs import Jobs
from domain.services.lanes import Lanes
from domain.services.message_composer import MessageComposer
from domain.services.response_keeper import ResponseKeeper
from domain.services.response_publication import ResponsePublications
from domain.services.retry_index import RetryIndex
from domain.services.roster_cache import RosterCache
from domain.services.turn_monitor import TurnMonitor
from domain.services.turn_queue import TurnQueue
from domain.services.turn_records import TurnRecords
from domain.services.turn_runner import TurnRunner
from domain.services.turn_stopper import TurnStopper
from domain.services.turn_subscription import TurnSubscription
from domain.services.turns import Turns
from ports.agent_gateway import AgentGateway
from ports.approval_store import ApprovalStore
from ports.callbacks import Callbacks
from ports.conversation_store import ConversationStore
from ports.job_queue import JobQueue
from ports.job_store import JobStore
from ports.lane_tickets import LaneTickets
from ports.response_store import ResponseStore
from ports.turn_store import TurnStore
from tests.fakes.gateway import ANNA

_unique = itertools.count()


def alone(gateway: AgentGateway) -> Backends:
    """The only backend."""
    return Backends([Backend.of("fake", gateway)])


def turns_of(
    gateway: AgentGateway,
    rules: TurnRules | None = None,
    rosters: RosterCache | None = None,
    turn_store: TurnStore | None = None,
    conversation_store: ConversationStore | None = None,
    tickets: LaneTickets | None = None,
    approvals: ApprovalStore | None = None,
    backends: Backends | None = None,
    responses: ResponseStore | None = None,
    keeper: ResponseKeeper | None = None,
    monitor: TurnMonitor | None = None,
) -> Turns:
    rules = rules or TurnRules()
    composer = MessageComposer()
    backends = backends or alone(gateway)
    conversations = Conversations(backends, conversation_store or MemoryConversationStore())
    guard = ApprovalGuard(approvals or MemoryApprovalStore())
    stopper = TurnStopper(backends)
    responses = responses or MemoryResponseStore()
    heads = ConversationHeads(responses)
    recovery = AnswerRecovery(backends, rules)
    runner = TurnRunner(backends, conversations, guard, composer, recovery, stopper, heads, rules)
    return Turns(
        IdempotentRunner(backends, runner, TurnRecords(turn_store or MemoryTurnStore()), rules),
        stopper,
        DisconnectPolicy(stopper, rules),
        composer,
        RetryIndex(rules),
        TurnQueue(Lanes(rules.max_waiting, rules.max_waiting_overall), tickets, rules.max_waiting),
        rosters or RosterCache(backends),
        keeper or ResponseKeeper(responses, heads),
        monitor or TurnMonitor(),
    )


def jobs_of(
    store: JobStore,
    queue: JobQueue,
    turns: Turns,
    callbacks: Callbacks,
    keys: ApiKeys,
    rules: JobRules | None = None,
    publications: ResponsePublications | None = None,
) -> Jobs:
    rules = rules or JobRules()
    publications = publications or ResponsePublications(MemoryResponseStore())
    job_callbacks = JobCallbacks(store, queue, callbacks, keys)
    runner = JobRunner(store, job_callbacks, turns, keys, publications, rules)
    return Jobs(store, JobScheduler(store, queue, runner, job_callbacks), job_callbacks, keys, rules)


class Client:
    """Asks as an SDK does: `text` and `body` say what is sent, and `sync` whether it wants the answer whole."""

    def __init__(self, turns: Turns, sync: bool = False) -> None:
        self.turns = turns
        self.sync = sync

    def ask(self, request: TurnRequest | str, identity: Identity | bytes | None = None) -> "Asked":
        """Without an identity, a request like no other."""
        if isinstance(request, str):
            request = TurnRequest(ANNA, UserMessage(request))
        if not isinstance(identity, Identity):
            identity = Identity(identity or f"unique {next(_unique)}".encode())
        return Asked(self.turns.begin(request, identity), self.sync)


class Asked:
    """A request that is under way: wait for it, or hang up."""

    def __init__(self, reading: TurnSubscription, sync: bool) -> None:
        self.reading = reading
        self.replayed = reading.replayed
        self._sync = sync
        self.events: list[TurnEvent] = []

    async def answer(self) -> Sequence[TurnEvent]:
        """All events; the client stays to the end."""
        while not self.reading.reader.finished:
            self.events += await self.reading.reader.take()
        self.reading.leave(not isinstance(self.events[-1], Failed), will_ask_again=self._sync)
        return self.events

    async def text(self) -> str:
        events = await self.answer()
        assert not isinstance(events[-1], Failed), events[-1]
        return whole_text(events)

    async def failure(self) -> Failure:
        last = (await self.answer())[-1]
        assert isinstance(last, Failed), last
        return last.failure

    async def hang_up_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.hang_up()

    def hang_up(self) -> None:
        self.reading.leave(whole=False, will_ask_again=self._sync)
