"""The one place where everything is wired."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from dependency_injector import containers, providers

from adapters.callbacks.lazy import LazyCallbacks
from adapters.prometheus.lazy import LazyMetrics
from domain.model.api_key import ApiKey
from domain.services.answer_recovery import AnswerRecovery
from domain.services.api_keys import ApiKeys
from domain.services.approval_guard import ApprovalGuard
from domain.services.backends import Backends
from domain.services.background_responses import BackgroundResponses
from domain.services.client_conversations import ClientConversations
from domain.services.conversation_catalog import ConversationCatalog
from domain.services.conversation_heads import ConversationHeads
from domain.services.conversations import Conversations
from domain.services.disconnect_policy import DisconnectPolicy
from domain.services.idempotent_runner import IdempotentRunner
from domain.services.job_callbacks import JobCallbacks
from domain.services.job_runner import JobRunner
from domain.services.job_scheduler import JobScheduler
from domain.services.jobs import Jobs
from domain.services.key_administration import KeyAdministration
from domain.services.key_revocation import KeyRevocation
from domain.services.lanes import Lanes
from domain.services.message_composer import MessageComposer
from domain.services.readiness import Readiness
from domain.services.response_keeper import ResponseKeeper
from domain.services.response_publication import ResponsePublications
from domain.services.responses import Responses
from domain.services.retry_index import RetryIndex
from domain.services.roster_cache import RosterCache
from domain.services.turn_monitor import TurnMonitor
from domain.services.turn_queue import TurnQueue
from domain.services.turn_records import TurnRecords
from domain.services.turn_reports import TurnReports
from domain.services.turn_runner import TurnRunner
from domain.services.turn_stopper import TurnStopper
from domain.services.turns import Turns
from domain.services.visible_conversations import VisibleConversations
from entrypoints.announced import announced_of, has_portal
from entrypoints.gateways import opened_backends
from entrypoints.http.app import create_app
from entrypoints.http.body.bodies import Bodies
from entrypoints.http.metrics import metrics_app
from entrypoints.http.native.jobs import encoded_report
from entrypoints.keys import named_key_store
from entrypoints.settings import Settings
from entrypoints.settings.chat_options import Portal
from entrypoints.settings.job_options import JobOptions
from entrypoints.state import state_of
from entrypoints.telemetry import Exposition, metrics_of, metrics_text_of
from entrypoints.tracing import opened_tracing
from entrypoints.workers import WorkerContext
from ports.callbacks import Callbacks
from ports.key_store import NamedKeyStore
from ports.response_store import ResponseStore
from ports.turn_observer import TurnObserver


def turn_monitor_of(settings: Settings, metrics: LazyMetrics | None, others: Sequence[TurnObserver]) -> TurnMonitor:
    counted = () if metrics is None else (metrics,)
    return TurnMonitor((*counted, *others), settings.portal is Portal.FULL)


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

    metrics: providers.Provider[LazyMetrics | None] = providers.Singleton(metrics_of, settings, worker)
    tracing = providers.Singleton(opened_tracing, settings, worker, closing)
    state = providers.Singleton(state_of, settings, worker, closing, metrics)
    backends: providers.Provider[Backends] = providers.Singleton(
        opened_backends, settings, state.provided.histories, closing, tracing.provided.outgoing
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
    turn_monitor = providers.Singleton(turn_monitor_of, settings, metrics, tracing.provided.observers)
    turn_reports = providers.Singleton(TurnReports, turn_monitor, turn_stopper, state.provided.turn_reports)
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
        turn_monitor,
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

    conversation_catalog = providers.Singleton(
        ConversationCatalog,
        backends,
        state.provided.conversations,
        providers.Singleton(VisibleConversations, backends, state.provided.conversations, api_keys),
        turns,
        heads,
    )

    key_revocation = providers.Singleton(KeyRevocation, api_keys, turns, jobs)

    exposition = providers.Singleton(Exposition, metrics, turns, jobs, readiness)
    metrics_app = providers.Singleton(metrics_app, exposition.provided.text)
    bodies = providers.Singleton(Bodies, settings.provided.chat_options.max_body_bytes)
    app = providers.Singleton(
        create_app,
        api_keys=api_keys,
        backends=settings.provided.backends,
        rosters=roster_cache,
        turns=turns,
        turn_reports=turn_reports,
        turn_monitor=turn_monitor,
        request_observer=metrics,
        metrics_text=providers.Callable(metrics_text_of, settings, exposition),
        readiness=readiness,
        jobs=jobs,
        responses=responses,
        background_responses=background_responses,
        heads=heads,
        client_conversations=client_conversations,
        key_administration=providers.Singleton(KeyAdministration, named_key_store, api_keys),
        announced=providers.Singleton(announced_of, settings),
        has_portal=providers.Callable(has_portal, settings),
        conversation_catalog=conversation_catalog,
        bodies=bodies,
        chat_options=settings.provided.chat_options,
        repeat_errors_for=turn_rules.repeat_errors_for,
        job_options=settings.provided.job_options,
        cors_origins=settings.provided.cors_origins,
        tracer=tracing.provided.requests,
    )


@asynccontextmanager
async def opened(container: Container) -> AsyncIterator[None]:
    """What the container makes from now on is closed at the end, the last first."""
    try:
        yield
    finally:
        await container.closing().aclose()
