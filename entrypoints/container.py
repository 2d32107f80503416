"""The one place where everything is wired."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from dependency_injector import containers, providers

from adapters.callbacks.lazy import LazyCallbacks
from adapters.dbos.job_queue import DbosJobQueue
from adapters.memory.approval_store import MemoryApprovalStore
from adapters.memory.client_conversation_store import MemoryClientConversationStore
from adapters.memory.conversation_store import MemoryConversationStore
from adapters.memory.history_store import MemoryHistoryStore
from adapters.memory.job_queue import MemoryJobQueue
from adapters.memory.job_store import MemoryJobStore
from adapters.memory.process_locks import MemoryLocks
from adapters.memory.response_store import MemoryResponseStore
from adapters.memory.turn_store import MemoryTurnStore
from adapters.sql.conversation_cache import ConversationCache
from adapters.sql.lazy_stores import (
    lazy_approval_store,
    lazy_client_conversation_store,
    lazy_conversation_store,
    lazy_history_store,
    lazy_job_store,
    lazy_response_store,
    lazy_turn_store,
)
from adapters.sql.state import State as DatabaseState
from adapters.workers.notices import WorkerNotices
from domain.model.api_key import ApiKey
from domain.services.answer_recovery import AnswerRecovery
from domain.services.api_keys import ApiKeys
from domain.services.approval_guard import ApprovalGuard
from domain.services.backends import Backends
from domain.services.background_responses import BackgroundResponses
from domain.services.client_conversations import ClientConversations
from domain.services.conversation_heads import ConversationHeads
from domain.services.conversations import Conversations
from domain.services.disconnect_policy import DisconnectPolicy
from domain.services.idempotent_runner import IdempotentRunner
from domain.services.job_callbacks import JobCallbacks
from domain.services.job_runner import JobRunner
from domain.services.job_scheduler import JobScheduler
from domain.services.jobs import Jobs
from domain.services.key_revocation import KeyRevocation
from domain.services.lanes import Lanes
from domain.services.liveness import Liveness
from domain.services.message_composer import MessageComposer
from domain.services.readiness import Readiness
from domain.services.response_keeper import ResponseKeeper
from domain.services.response_publication import ResponsePublications
from domain.services.responses import Responses
from domain.services.retry_index import RetryIndex
from domain.services.roster_cache import RosterCache
from domain.services.turn_queue import TurnQueue
from domain.services.turn_records import TurnRecords
from domain.services.turn_runner import TurnRunner
from domain.services.turn_stopper import TurnStopper
from domain.services.turns import Turns
from entrypoints.gateways import opened_backends
from entrypoints.http.app import create_app
from entrypoints.http.body.bodies import Bodies
from entrypoints.http.native.jobs import encoded_report
from entrypoints.keys import named_key_store
from entrypoints.settings import Settings
from entrypoints.settings.job_options import JobOptions
from entrypoints.workers import WorkerContext
from ports.approval_store import ApprovalStore
from ports.callbacks import Callbacks
from ports.client_conversation_store import ClientConversationStore
from ports.conversation_store import ConversationStore
from ports.history_store import HistoryStore
from ports.job_queue import JobQueue
from ports.job_store import JobStore
from ports.key_store import NamedKeyStore
from ports.lane_tickets import LaneTickets
from ports.notices import Notices
from ports.process_locks import ProcessLocks
from ports.response_store import ResponseStore
from ports.turn_store import TurnStore


class State(msgspec.Struct, frozen=True):
    """What the service remembers, in memory or in a database, and how its processes know of each other."""

    conversations: ConversationStore
    approvals: ApprovalStore
    turns: TurnStore
    histories: HistoryStore
    responses: ResponseStore
    client_conversations: ClientConversationStore
    jobs: JobStore
    job_queue: JobQueue
    lane_tickets: LaneTickets | None
    """None for a process that is alone: nobody else's turns are to be waited for."""
    database: DatabaseState | None
    """None for a state in memory."""


def state_of(settings: Settings, worker: WorkerContext | None, closing: AsyncExitStack) -> State:
    """The one place where it is chosen whether the state is in memory or in a database."""
    if settings.state is None:
        return state_in_memory()
    return state_in_database(settings, settings.state, worker, closing)


def state_in_memory() -> State:
    return State(
        MemoryConversationStore(),
        MemoryApprovalStore(),
        MemoryTurnStore(),
        MemoryHistoryStore(),
        MemoryResponseStore(),
        MemoryClientConversationStore(),
        MemoryJobStore(),
        MemoryJobQueue(),
        lane_tickets=None,
        database=None,
    )


def state_in_database(settings: Settings, url: str, worker: WorkerContext | None, closing: AsyncExitStack) -> State:
    database, locks = DatabaseState(url, settings.turn_rules.shared), process_locks(settings, url)
    closing.push_async_callback(database.close)
    closing.push_async_callback(locks.close)
    tickets: LaneTickets | None = None
    if settings.turn_rules.shared:
        from adapters.sql.lane_tickets import SqlLaneTickets

        told = notices(settings, url, database, worker)
        closing.push_async_callback(told.close)
        tickets = SqlLaneTickets(database, locks, Liveness(locks), told)
        closing.push_async_callback(tickets.close)
    job_queue = DbosJobQueue(url, locks, Liveness(locks), job_connect_options(settings))
    closing.push_async_callback(job_queue.close)
    return State(
        ConversationCache(lazy_conversation_store(database)),
        lazy_approval_store(database),
        lazy_turn_store(database, settings.keep_answers_for),
        lazy_history_store(database),
        lazy_response_store(database, settings.keep_responses_for, settings.keep_answers_for),
        lazy_client_conversation_store(database),
        lazy_job_store(database, settings.keep_answers_for),
        job_queue,
        tickets,
        database,
    )


def job_connect_options(settings: Settings) -> Mapping[str, object]:
    """How the job queue connects to PostgreSQL, so that it notices a server that has vanished. Its statements have no
    limit: some of them change whole tables when it is upgraded."""
    if not settings.shares_state:
        return {}
    from adapters.sql.postgres import keepalives

    return keepalives()


def process_locks(settings: Settings, url: str) -> ProcessLocks:
    """Between all processes that share the state."""
    if settings.shares_state:
        from adapters.sql.locks import PostgresLocks

        return PostgresLocks(url)
    try:
        from adapters.locks.file import FileLocks
    except ImportError:  # Windows has no such locks; there, only one process may use the state.
        return MemoryLocks()
    return FileLocks(settings.state_file.with_name(f"{settings.state_file.name}.lock"))


def notices(settings: Settings, url: str, database: DatabaseState, worker: WorkerContext | None) -> Notices:
    """Between the same processes."""
    if settings.shares_state or worker is None:
        from adapters.sql.notices import PostgresNotices

        return PostgresNotices(url, database)
    return WorkerNotices(worker.notices, worker.others)


def response_keeper_of(store: ResponseStore, heads: ConversationHeads, closing: AsyncExitStack) -> ResponseKeeper:
    """It is closed before the state."""
    keeper = ResponseKeeper(store, heads)
    closing.push_async_callback(keeper.close)
    return keeper


def callbacks(options: JobOptions) -> Callbacks:
    return LazyCallbacks(encoded_report, options.allow_http_callbacks, options.allow_private_callbacks)


class Container(containers.DeclarativeContainer):
    """Give it settings, and for the HTTP API the key; ask it for what you need."""

    settings: providers.Dependency[Settings] = providers.Dependency(instance_of=Settings)
    api_key: providers.Dependency[ApiKey] = providers.Dependency(instance_of=ApiKey)
    # None in a process that has no siblings.
    worker: providers.Provider[WorkerContext | None] = providers.Object(None)

    # Closes, in `opened`, what was made; what nobody has asked for was not.
    closing: providers.Provider[AsyncExitStack] = providers.Singleton(AsyncExitStack)

    state = providers.Singleton(state_of, settings, worker, closing)
    backends: providers.Provider[Backends] = providers.Singleton(
        opened_backends, settings, state.provided.histories, closing
    )
    roster_cache = providers.Singleton(RosterCache, backends, settings.provided.agents)
    readiness = providers.Singleton(Readiness, backends, roster_cache)

    turn_rules = settings.provided.turn_rules
    approval_guard = providers.Singleton(ApprovalGuard, state.provided.approvals)
    conversations = providers.Singleton(Conversations, backends, state.provided.conversations)
    message_composer = providers.Singleton(MessageComposer)
    answer_recovery = providers.Singleton(AnswerRecovery, backends, turn_rules)
    turn_stopper = providers.Singleton(TurnStopper, backends)
    heads = providers.Singleton(ConversationHeads, state.provided.responses)
    turn_runner = providers.Singleton(
        TurnRunner,
        backends,
        conversations,
        approval_guard,
        message_composer,
        answer_recovery,
        turn_stopper,
        heads,
        turn_rules,
    )
    turn_records = providers.Singleton(TurnRecords, state.provided.turns)
    idempotent_runner = providers.Singleton(IdempotentRunner, backends, turn_runner, turn_records, turn_rules)
    lanes = providers.Singleton(Lanes, turn_rules.max_waiting, turn_rules.max_waiting_overall)
    turn_queue = providers.Singleton(TurnQueue, lanes, state.provided.lane_tickets, turn_rules.max_waiting)
    response_keeper = providers.Singleton(response_keeper_of, state.provided.responses, heads, closing)
    turns = providers.Singleton(
        Turns,
        idempotent_runner,
        turn_stopper,
        providers.Singleton(DisconnectPolicy, turn_stopper, turn_rules),
        message_composer,
        providers.Singleton(RetryIndex, turn_rules),
        turn_queue,
        roster_cache,
        response_keeper,
    )

    named_key_store: providers.Provider[NamedKeyStore] = providers.Singleton(named_key_store, settings)
    api_keys = providers.Singleton(ApiKeys, api_key, named_key_store)

    job_store, job_queue = state.provided.jobs, state.provided.job_queue
    callbacks: providers.Provider[Callbacks] = providers.Singleton(callbacks, settings.provided.job_options)
    job_rules = settings.provided.job_rules
    job_callbacks = providers.Singleton(JobCallbacks, job_store, job_queue, callbacks, api_keys)
    publications = providers.Singleton(ResponsePublications, state.provided.responses)
    job_runner = providers.Singleton(JobRunner, job_store, job_callbacks, turns, api_keys, publications, job_rules)
    job_scheduler = providers.Singleton(JobScheduler, job_store, job_queue, job_runner, job_callbacks)
    jobs = providers.Singleton(Jobs, job_store, job_scheduler, job_callbacks, api_keys, job_rules)

    responses = providers.Singleton(
        Responses, state.provided.responses, job_store, response_keeper, publications, backends, turn_rules
    )
    background_responses = providers.Singleton(BackgroundResponses, state.provided.responses, responses, jobs)

    client_conversations = providers.Singleton(
        ClientConversations, state.provided.client_conversations, state.provided.conversations, backends
    )

    key_revocation = providers.Singleton(KeyRevocation, api_keys, turns, jobs)

    bodies = providers.Singleton(Bodies, settings.provided.chat_options.max_body_bytes)
    app = providers.Singleton(
        create_app,
        api_keys=api_keys,
        backends=settings.provided.backends,
        rosters=roster_cache,
        turns=turns,
        readiness=readiness,
        jobs=jobs,
        responses=responses,
        background_responses=background_responses,
        heads=heads,
        client_conversations=client_conversations,
        bodies=bodies,
        chat_options=settings.provided.chat_options,
        repeat_errors_for=turn_rules.repeat_errors_for,
        job_options=settings.provided.job_options,
        cors_origins=settings.provided.cors_origins,
    )


@asynccontextmanager
async def opened(container: Container) -> AsyncIterator[None]:
    """What the container makes from now on is closed at the end, the last first."""
    try:
        yield
    finally:
        await container.closing().aclose()
