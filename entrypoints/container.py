"""The one place where everything is wired. Backends are imported only when they are chosen."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dependency_injector import containers, providers

from adapters.callbacks.late import LateCallbacks
from adapters.dbos.job_queue import DbosJobQueue
from adapters.memory.approval_book import MemoryApprovalBook
from adapters.memory.conversation_book import MemoryConversationBook
from adapters.memory.job_book import MemoryJobBook
from adapters.memory.job_queue import MemoryJobQueue
from adapters.memory.lane_tickets import MemoryLaneTickets
from adapters.memory.process_locks import MemoryLocks
from adapters.memory.turn_ledger import MemoryTurnLedger
from adapters.sql.late import LateApprovalBook, LateConversationBook, LateJobBook, LateTurnLedger, State
from domain.model.api_key import ApiKey
from domain.services.api_keys import ApiKeys
from domain.services.approving import Approving
from domain.services.conversations import Conversations
from domain.services.delivering import Delivering
from domain.services.jobs import Jobs
from domain.services.lanes import Lanes
from domain.services.readiness import Readiness
from domain.services.recording import Recording
from domain.services.recovering import Recovering
from domain.services.retries import Retries
from domain.services.revoking import Revoking
from domain.services.rosters import Rosters
from domain.services.turns import Turns
from domain.services.wording import Wording
from entrypoints.backend_module import backend_module
from entrypoints.http.app import create_app
from entrypoints.http.body import Bodies
from entrypoints.http.native_jobs import encoded_report
from entrypoints.keys import key_ring
from entrypoints.settings import Mode, Settings
from entrypoints.settings.job_options import JobOptions
from entrypoints.start_error import CannotStartError
from ports.agent_gateway import AgentGateway
from ports.approval_book import ApprovalBook
from ports.callbacks import Callbacks
from ports.conversation_book import ConversationBook
from ports.job_book import JobBook
from ports.job_queue import JobQueue
from ports.key_store import KeyRing
from ports.lane_tickets import LaneTickets
from ports.process_locks import ProcessLocks
from ports.turn_ledger import TurnLedger


def letta_gateway(settings: Settings) -> AgentGateway:
    backend_module(settings.mode)
    from adapters.letta.gateway import LettaGateway, letta_client
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


def conversation_book(state: State | None) -> ConversationBook:
    return MemoryConversationBook() if state is None else LateConversationBook(state)


def approval_book(state: State | None) -> ApprovalBook:
    return MemoryApprovalBook() if state is None else LateApprovalBook(state)


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


def lane_tickets(state: State | None, settings: Settings, locks: ProcessLocks) -> LaneTickets:
    if state is None or not settings.turn_rules.shared:
        return MemoryLaneTickets()
    from adapters.sql.lane_tickets import SqlLaneTickets

    return SqlLaneTickets(state, locks)


def job_book(state: State | None, settings: Settings) -> JobBook:
    return MemoryJobBook() if state is None else LateJobBook(state, settings.keep_answers_for)


def job_queue(settings: Settings, locks: ProcessLocks) -> JobQueue:
    return MemoryJobQueue() if settings.state is None else DbosJobQueue(settings.state, locks)


def callbacks(options: JobOptions) -> Callbacks:
    return LateCallbacks(encoded_report, options.allow_http_callbacks, options.allow_private_callbacks)


def turn_ledger(state: State | None, settings: Settings) -> TurnLedger:
    return MemoryTurnLedger() if state is None else LateTurnLedger(state, settings.keep_answers_for)


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
    rosters = providers.Singleton(Rosters, gateway, settings.provided.agents)
    readiness = providers.Singleton(Readiness, gateway, rosters)

    turn_rules = settings.provided.turn_rules
    state: providers.Provider[State | None] = providers.Singleton(database, settings)
    conversation_book: providers.Provider[ConversationBook] = providers.Singleton(conversation_book, state)
    turn_ledger: providers.Provider[TurnLedger] = providers.Singleton(turn_ledger, state, settings)
    approval_book: providers.Provider[ApprovalBook] = providers.Singleton(approval_book, state)
    approving = providers.Singleton(Approving, approval_book)
    conversations = providers.Singleton(Conversations, gateway, conversation_book)
    wording = providers.Singleton(Wording)
    recovering = providers.Singleton(Recovering, gateway, turn_rules)
    delivering = providers.Singleton(Delivering, gateway, conversations, approving, wording, recovering, turn_rules)
    retries = providers.Singleton(Retries, turn_rules)
    recording = providers.Singleton(Recording, delivering, retries, turn_ledger, turn_rules)
    lanes = providers.Singleton(Lanes, turn_rules.max_waiting, turn_rules.max_waiting_overall)
    process_locks: providers.Provider[ProcessLocks] = providers.Singleton(process_locks, settings)
    lane_tickets: providers.Provider[LaneTickets] = providers.Singleton(lane_tickets, state, settings, process_locks)
    turns = providers.Singleton(
        Turns, recording, delivering, wording, retries, lanes, lane_tickets, rosters, turn_rules
    )

    key_ring: providers.Provider[KeyRing] = providers.Singleton(key_ring, settings)
    api_keys = providers.Singleton(ApiKeys, api_key, key_ring)

    job_book: providers.Provider[JobBook] = providers.Singleton(job_book, state, settings)
    job_queue: providers.Provider[JobQueue] = providers.Singleton(job_queue, settings, process_locks)
    callbacks: providers.Provider[Callbacks] = providers.Singleton(callbacks, settings.provided.job_options)
    jobs = providers.Singleton(Jobs, job_book, job_queue, turns, callbacks, api_keys, settings.provided.job_rules)

    revoking = providers.Singleton(Revoking, api_keys, turns, jobs)

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
        await container.lane_tickets().close()
        await gateway.close()
        await container.process_locks().close()
        if (state := container.state()) is not None:
            await state.close()
