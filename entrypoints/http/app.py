"""The application: which handlers there are, what guards them, and what they are given."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from domain.services.api_keys import ApiKeys
from domain.services.background_responses import BackgroundResponses
from domain.services.client_conversations import ClientConversations
from domain.services.conversation_catalog import ConversationCatalog
from domain.services.conversation_heads import ConversationHeads
from domain.services.jobs import Jobs
from domain.services.key_administration import KeyAdministration
from domain.services.readiness import Readiness
from domain.services.responses import Responses
from domain.services.roster_cache import RosterCache
from domain.services.turn_monitor import TurnMonitor
from domain.services.turn_reports import TurnReports
from domain.services.turns import Turns
from entrypoints.http.api_docs import docs_assets, document_handler, openapi_config
from entrypoints.http.auth import check_of
from entrypoints.http.body.bodies import Bodies
from entrypoints.http.chat_intake import ChatIntake
from entrypoints.http.error_handlers import ERROR_HANDLERS
from entrypoints.http.health import alive, ready_handler
from entrypoints.http.metrics import metrics_handler
from entrypoints.http.native.capabilities import Announced, capabilities_handler
from entrypoints.http.native.chat import native_chat_handler
from entrypoints.http.native.conversations import conversation_catalog_handlers
from entrypoints.http.native.error_handlers import CODED_ERROR_HANDLERS, NATIVE_ERROR_HANDLERS
from entrypoints.http.native.intake import NativeIntake
from entrypoints.http.native.jobs import job_handlers, job_list_handler
from entrypoints.http.native.keys import key_handlers
from entrypoints.http.native.status import status_handler
from entrypoints.http.native.turns import turn_handlers
from entrypoints.http.openai.chat import Chat, chat_handler
from entrypoints.http.openai.models import list_handler, retrieve_model
from entrypoints.http.portal.handlers import portal_handlers
from entrypoints.http.request_log import RequestLogging
from entrypoints.http.responses.conversations import ConversationObjects, conversation_handlers
from entrypoints.http.responses.create import ResponseCreation, create_handler
from entrypoints.http.responses.places import Places
from entrypoints.http.responses.stored import stored_handlers
from entrypoints.http.tracing import Tracing, traced_check
from entrypoints.settings.backend import BackendSettings
from entrypoints.settings.chat_options import ChatOptions
from entrypoints.settings.job_options import JobOptions
from ports.request_tracer import RequestTracer
from ports.service_observer import ServiceObserver

_EXPOSED = ["X-Request-Id", "Retry-After", "x-should-retry", "Idempotency-Replayed"]


def create_app(
    *,
    api_keys: ApiKeys,
    backends: Sequence[BackendSettings],
    rosters: RosterCache,
    turns: Turns,
    readiness: Readiness,
    turn_reports: TurnReports,
    turn_monitor: TurnMonitor,
    request_observer: ServiceObserver | None,
    metrics_text: Callable[[], Awaitable[bytes]] | None,
    jobs: Jobs,
    responses: Responses,
    background_responses: BackgroundResponses,
    heads: ConversationHeads,
    client_conversations: ClientConversations,
    key_administration: KeyAdministration,
    announced: Announced,
    has_portal: bool,
    conversation_catalog: ConversationCatalog,
    bodies: Bodies,
    chat_options: ChatOptions,
    repeat_errors_for: float,
    job_options: JobOptions,
    cors_origins: Sequence[str] = (),
    tracer: RequestTracer | None = None,
) -> ASGIApp:
    """The ASGI application. `repeat_errors_for`: see `TurnRules`. Without `cors_origins` no CORS header is sent."""
    check = check_of(api_keys) if tracer is None else traced_check(check_of(api_keys), tracer)
    requests = ChatIntake(chat_options, bodies)
    chat = Chat(rosters, turns, chat_options, repeat_errors_for, requests, turn_monitor)
    conversations = ConversationObjects(client_conversations, requests)
    places = Places(rosters, responses, conversations, chat_options)
    creation = ResponseCreation(places, turns, responses, background_responses, heads, chat_options, requests)
    guarded = Router(
        "/",
        route_handlers=[
            list_handler(rosters),
            retrieve_model,
            chat_handler(chat),
            create_handler(creation),
            *stored_handlers(responses, background_responses),
            *conversation_handlers(conversations),
            *([] if metrics_text is None else [metrics_handler(metrics_text)]),
        ],
        before_request=check,
        security=[{"bearer": []}, {"apiKey": []}],
    )
    intake = NativeIntake(rosters, chat_options, requests)
    native = Router(
        "/api/v1",
        route_handlers=[
            native_chat_handler(intake, turns, repeat_errors_for),
            *job_handlers(intake, jobs, job_options),
            status_handler(rosters, turns, jobs),
            *conversation_catalog_handlers(intake, conversation_catalog, chat_options.reasoning),
        ],
        before_request=check,
        exception_handlers=NATIVE_ERROR_HANDLERS,
        security=[{"bearer": []}, {"apiKey": []}],
    )
    administration = Router(
        "/api/v1",
        route_handlers=[
            *turn_handlers(turn_reports, rosters, api_keys),
            job_list_handler(jobs, api_keys),
            *key_handlers(key_administration, requests),
            capabilities_handler(readiness, backends, announced),
        ],
        before_request=check,
        exception_handlers=CODED_ERROR_HANDLERS,
        security=[{"bearer": []}, {"apiKey": []}],
    )
    app = Litestar(
        route_handlers=[
            guarded,
            native,
            administration,
            alive,
            ready_handler(readiness, backends),
            document_handler(),
            docs_assets(),
            *(portal_handlers() if has_portal else []),
        ],
        dependencies=_given({"rosters": rosters}),
        exception_handlers=ERROR_HANDLERS,
        cors_config=CORSConfig(allow_origins=[*cors_origins], expose_headers=_EXPOSED) if cors_origins else None,
        openapi_config=openapi_config(version("lettabot")),
        # The body is read by hand, with a limit of its own.
        request_max_body_size=None,
        logging_config=None,
    )
    answering = _answering_head(app)
    return RequestLogging(answering if tracer is None else Tracing(answering, tracer), request_observer)


def _answering_head(app: ASGIApp) -> ASGIApp:
    """HEAD is GET without the body (RFC 9110), which the server leaves out: no handler need know of it."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and scope["method"] == HttpMethod.HEAD:
            scope = {**scope, "method": HttpMethod.GET}
        await app(scope, receive, send)

    return answer


def _given(values: Mapping[str, Any]) -> dict[str, Provide]:
    def provide(value: Any) -> Provide:
        return Provide(lambda: value, sync_to_thread=False)

    return {name: provide(value) for name, value in values.items()}
