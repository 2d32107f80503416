"""Where the service remembers: in memory or in a database. The one place where that is chosen."""

import math
from collections.abc import Mapping
from contextlib import AsyncExitStack

import msgspec

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
from adapters.sql.conversation_cache import BELIEVED_FOR, ConversationCache
from adapters.sql.lazy_stores import (
    lazy_approval_store,
    lazy_client_conversation_store,
    lazy_conversation_store,
    lazy_history_store,
    lazy_job_store,
    lazy_response_store,
    lazy_turn_report_store,
    lazy_turn_store,
)
from adapters.sql.state import State as DatabaseState
from adapters.sql.state import nobody
from adapters.workers.notices import WorkerNotices
from domain.services.liveness import Liveness
from entrypoints.settings import Settings
from entrypoints.workers import WorkerContext
from ports.approval_store import ApprovalStore
from ports.client_conversation_store import ClientConversationStore
from ports.conversation_store import ConversationStore
from ports.history_store import HistoryStore
from ports.job_queue import JobQueue
from ports.job_store import JobStore
from ports.lane_tickets import LaneTickets
from ports.notices import Notices
from ports.process_locks import ProcessLocks
from ports.response_store import ResponseStore
from ports.service_observer import ServiceObserver
from ports.turn_reports import TurnReportStore
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
    turn_reports: TurnReportStore | None
    """None for a process that is alone: nobody else has turns."""
    database: DatabaseState | None
    """None for a state in memory."""


def state_of(
    settings: Settings, worker: WorkerContext | None, closing: AsyncExitStack, observer: ServiceObserver | None
) -> State:
    """The one place where it is chosen whether the state is in memory or in a database."""
    if settings.state is None:
        return state_in_memory()
    return state_in_database(settings, settings.state, worker, closing, observer)


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
        turn_reports=None,
        database=None,
    )


def state_in_database(
    settings: Settings,
    url: str,
    worker: WorkerContext | None,
    closing: AsyncExitStack,
    observer: ServiceObserver | None,
) -> State:
    told = nobody if observer is None else observer.asked_state
    database, locks = DatabaseState(url, settings.turn_rules.shared, told), process_locks(settings, url)
    closing.push_async_callback(database.close)
    closing.push_async_callback(locks.close)
    tickets: LaneTickets | None = None
    if settings.turn_rules.shared:
        from adapters.sql.lane_tickets import SqlLaneTickets

        notices_ = notices(settings, url, database, worker)
        closing.push_async_callback(notices_.close)
        tickets = SqlLaneTickets(database, locks, Liveness(locks), notices_)
        closing.push_async_callback(tickets.close)
    job_queue = DbosJobQueue(url, locks, Liveness(locks), job_connect_options(settings))
    closing.push_async_callback(job_queue.close)
    return State(
        ConversationCache(lazy_conversation_store(database), BELIEVED_FOR if settings.turn_rules.shared else math.inf),
        lazy_approval_store(database),
        lazy_turn_store(database, settings.keep_answers_for),
        lazy_history_store(database),
        lazy_response_store(database, settings.keep_responses_for, settings.keep_answers_for),
        lazy_client_conversation_store(database),
        lazy_job_store(database, settings.keep_answers_for),
        job_queue,
        tickets,
        lazy_turn_report_store(database) if settings.turn_rules.shared else None,
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
