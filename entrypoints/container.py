"""The one place where everything is wired. Backends are imported only when they are chosen."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dependency_injector import containers, providers

from adapters.callbacks.late import LateCallbacks
from adapters.dbos.job_queue import DbosJobQueue
from adapters.memory.approval_store import MemoryApprovalStore
from adapters.memory.conversation_store import MemoryConversationStore
from adapters.memory.job_queue import MemoryJobQueue
from adapters.memory.job_store import MemoryJobStore
from adapters.memory.process_locks import MemoryLocks
from adapters.memory.turn_store import MemoryTurnStore
from adapters.sql.late import LateApprovalStore, LateConversationStore, LateJobStore, LateTurnStore, State
from domain.model.api_key import ApiKey
from domain.services.answer_recovery import AnswerRecovery
from domain.services.api_keys import ApiKeys
from domain.services.approval_guard import ApprovalGuard
from domain.services.conversations import Conversations
from domain.services.disconnect_policy import DisconnectPolicy
from domain.services.idempotent_runner import IdempotentRunner
from domain.services.job_callbacks import JobCallbacks
from domain.services.job_runner import JobRunner
from domain.services.job_scheduler import JobScheduler
from domain.services.jobs import Jobs
from domain.services.key_revocation import KeyRevocation
from domain.services.lanes import Lanes
from domain.services.message_composer import MessageComposer
from domain.services.readiness import Readiness
from domain.services.retry_index import RetryIndex
from domain.services.roster_cache import RosterCache
from domain.services.turn_queue import TurnQueue
from domain.services.turn_records import TurnRecords
from domain.services.turn_runner import TurnRunner
from domain.services.turn_stopper import TurnStopper
from domain.services.turns import Turns
from entrypoints.backend_module import backend_module
from entrypoints.http.app import create_app
from entrypoints.http.body.bodies import Bodies
from entrypoints.http.native.jobs import encoded_report
from entrypoints.keys import named_key_store
from entrypoints.settings import Mode, Settings
from entrypoints.settings.job_options import JobOptions
from entrypoints.start_error import CannotStartError
from ports.agent_gateway import AgentGateway
from ports.approval_store import ApprovalStore
from ports.callbacks import Callbacks
from ports.conversation_store import ConversationStore
from ports.job_queue import JobQueue
from ports.job_store import JobStore
from ports.key_store import NamedKeyStore
from ports.lane_tickets import LaneTickets
from ports.process_locks import ProcessLocks
from ports.turn_store import TurnStore


def letta_gateway(settings: Settings) -> AgentGateway:
    backend_module(settings.mode)
    from adapters.letta.client import letta_client
    from adapters.letta.gateway import LettaGateway
    from adapters.letta.setting_error import NetworkSettingError

    try:
        return LettaGateway(letta_client(settings.letta_base_url, settings.letta_api_key))
    except NetworkSettingError as error:
        raise CannotStartError(str(error)) from error


def embedded_gateway(settings: Settings) -> AgentGateway:
    from adapters.embedded.gateway import EmbeddedGateway
    from adapters.embedded.notebook import NotebookError

    names = [agent.name for agent in settings.agents if agent.name]
    try:
        return EmbeddedGateway(settings.embedded_database, names or ["lettabot"])
    except NotebookError as error:
        raise CannotStartError(str(error)) from error


def database(settings: Settings) -> State | None:
    return None if settings.state is None else State(settings.state, settings.turn_rules.shared)


def conversation_store(state: State | None) -> ConversationStore:
    return MemoryConversationStore() if state is None else LateConversationStore(state)


def approval_store(state: State | None) -> ApprovalStore:
    return MemoryApprovalStore() if state is None else LateApprovalStore(state)


def process_locks(settings: Settings) -> ProcessLocks:
    """Between all processes that share the state."""
    if settings.state is None:
        return MemoryLocks()
    if settings.shares_state:
        from adapters.sql.locks import PostgresLocks

        return PostgresLocks(settings.state)
    try:
        from adapters.locks.file import FileLocks
    except ImportError:  # Windows has no such locks; there, only one process may use the state.
        return MemoryLocks()
    return FileLocks(settings.state_file.with_name(f"{settings.state_file.name}.lock"))


def lane_tickets(state: State | None, settings: Settings, locks: ProcessLocks) -> LaneTickets | None:
    """None for a process that is alone: nobody else's turns are to be waited for."""
    if state is None or not settings.turn_rules.shared:
        return None
    from adapters.sql.lane_tickets import SqlLaneTickets

    return SqlLaneTickets(state, locks)


def job_store(state: State | None, settings: Settings) -> JobStore:
    return MemoryJobStore() if state is None else LateJobStore(state, settings.keep_answers_for)


def job_queue(settings: Settings, locks: ProcessLocks) -> JobQueue:
    return MemoryJobQueue() if settings.state is None else DbosJobQueue(settings.state, locks)


def callbacks(options: JobOptions) -> Callbacks:
    return LateCallbacks(encoded_report, options.allow_http_callbacks, options.allow_private_callbacks)


def turn_store(state: State | None, settings: Settings) -> TurnStore:
    return MemoryTurnStore() if state is None else LateTurnStore(state, settings.keep_answers_for)


class Container(containers.DeclarativeContainer):
    """Give it settings, and for the HTTP API the key; ask it for what you need."""

    settings: providers.Dependency[Settings] = providers.Dependency(instance_of=Settings)
    api_key: providers.Dependency[ApiKey] = providers.Dependency(instance_of=ApiKey)

    gateway: providers.Provider[AgentGateway] = providers.Selector(
        settings.provided.mode,
        **{
            Mode.API: providers.Singleton(letta_gateway, settings),
            Mode.DOCKER: providers.Singleton(letta_gateway, settings),
            Mode.EMBEDDED: providers.Singleton(embedded_gateway, settings),
        },
    )
    rosters = providers.Singleton(RosterCache, gateway, settings.provided.agents)
    readiness = providers.Singleton(Readiness, gateway, rosters)

    turn_rules = settings.provided.turn_rules
    state: providers.Provider[State | None] = providers.Singleton(database, settings)
    conversation_store: providers.Provider[ConversationStore] = providers.Singleton(conversation_store, state)
    turn_store: providers.Provider[TurnStore] = providers.Singleton(turn_store, state, settings)
    approval_store: providers.Provider[ApprovalStore] = providers.Singleton(approval_store, state)
    approving = providers.Singleton(ApprovalGuard, approval_store)
    conversations = providers.Singleton(Conversations, gateway, conversation_store)
    message_composer = providers.Singleton(MessageComposer)
    answer_recovery = providers.Singleton(AnswerRecovery, gateway, turn_rules)
    turn_stopper = providers.Singleton(TurnStopper, gateway)
    turn_runner = providers.Singleton(
        TurnRunner, gateway, conversations, approving, message_composer, answer_recovery, turn_stopper, turn_rules
    )
    turn_records = providers.Singleton(TurnRecords, turn_store)
    idempotent_runner = providers.Singleton(IdempotentRunner, gateway, turn_runner, turn_records, turn_rules)
    lanes = providers.Singleton(Lanes, turn_rules.max_waiting, turn_rules.max_waiting_overall)
    process_locks: providers.Provider[ProcessLocks] = providers.Singleton(process_locks, settings)
    lane_tickets: providers.Provider[LaneTickets | None] = providers.Singleton(
        lane_tickets, state, settings, process_locks
    )
    turn_queue = providers.Singleton(TurnQueue, lanes, lane_tickets, turn_rules.max_waiting)
    turns = providers.Singleton(
        Turns,
        idempotent_runner,
        turn_stopper,
        providers.Singleton(DisconnectPolicy, turn_stopper, turn_rules),
        message_composer,
        providers.Singleton(RetryIndex, turn_rules),
        turn_queue,
        rosters,
    )

    named_key_store: providers.Provider[NamedKeyStore] = providers.Singleton(named_key_store, settings)
    api_keys = providers.Singleton(ApiKeys, api_key, named_key_store)

    job_store: providers.Provider[JobStore] = providers.Singleton(job_store, state, settings)
    job_queue: providers.Provider[JobQueue] = providers.Singleton(job_queue, settings, process_locks)
    callbacks: providers.Provider[Callbacks] = providers.Singleton(callbacks, settings.provided.job_options)
    job_rules = settings.provided.job_rules
    job_callbacks = providers.Singleton(JobCallbacks, job_store, job_queue, callbacks, api_keys)
    job_runner = providers.Singleton(JobRunner, job_store, job_callbacks, turns, api_keys, job_rules)
    job_scheduler = providers.Singleton(JobScheduler, job_store, job_queue, job_runner, job_callbacks)
    jobs = providers.Singleton(Jobs, job_store, job_scheduler, job_callbacks, api_keys, job_rules)

    revoking = providers.Singleton(KeyRevocation, api_keys, turns, jobs)

    bodies = providers.Singleton(Bodies, settings.provided.chat_options.max_body_bytes)
    app = providers.Singleton(
        create_app,
        api_keys=api_keys,
        mode=settings.provided.mode,
        rosters=rosters,
        turns=turns,
        readiness=readiness,
        jobs=jobs,
        bodies=bodies,
        chat_options=settings.provided.chat_options,
        job_options=settings.provided.job_options,
        cors_origins=settings.provided.cors_origins,
    )


@asynccontextmanager
async def opened(container: Container) -> AsyncIterator[AgentGateway]:
    """The container's gateway, closed at the end; raises `CannotStartError`."""
    gateway = container.gateway()
    try:
        yield gateway
    finally:
        await container.job_queue().close()
        if (tickets := container.lane_tickets()) is not None:
            await tickets.close()
        await gateway.close()
        await container.process_locks().close()
        if (state := container.state()) is not None:
            await state.close()
