"""The whole service on a real port, with a fake gateway behind it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from adapters.callbacks.lazy import LazyCallbacks
from adapters.memory.client_conversation_store import MemoryClientConversationStore
from adapters.memory.conversation_store import MemoryConversationStore
from adapters.memory.job_queue import MemoryJobQueue
from adapters.memory.job_store import MemoryJobStore
from adapters.memory.response_store import MemoryResponseStore
from domain.model.api_key import ApiKey
from domain.model.job import JobRules
from domain.model.turn_rules import TurnRules
from domain.services.api_keys import ApiKeys
from domain.services.background_responses import BackgroundResponses
from domain.services.client_conversations import ClientConversations
from domain.services.conversation_catalog import ConversationCatalog
from domain.services.conversation_heads import ConversationHeads
from domain.services.key_administration import KeyAdministration
from domain.services.key_revocation import KeyRevocation
from domain.services.readiness import Readiness
from domain.services.response_keeper import ResponseKeeper
from domain.services.response_publication import ResponsePublications
from domain.services.responses import Responses
from domain.services.roster_cache import RosterCache
from domain.services.turn_monitor import TurnMonitor
from domain.services.turn_reports import TurnReports
from domain.services.turn_stopper import TurnStopper
from domain.services.visible_conversations import VisibleConversations
from entrypoints.http.app import create_app
from entrypoints.http.body.bodies import Bodies
from entrypoints.http.connection.limits import Limits
from entrypoints.http.native.capabilities import Announced
from entrypoints.http.native.jobs import encoded_report
from entrypoints.server import Server, listen
from entrypoints.settings import Mode
from entrypoints.settings.backend import BackendSettings, LettaOptions
from entrypoints.settings.chat_options import ChatOptions
from entrypoints.settings.job_options import JobOptions
from ports.callbacks import Callbacks
from ports.key_store import NamedKeyStore
from tests.fakes.gateway import FakeGateway
from tests.fakes.key_store import FakeNamedKeyStore
from tests.fakes.services import alone, jobs_of, turns_of

KEY = "test-key"


class Service:
    """A running service: `client` carries the right key, `gateway` is the fake behind it, `bodies` are being read."""

    def __init__(
        self,
        gateway: FakeGateway,
        client: httpx.AsyncClient,
        url: str,
        server: Server,
        bodies: Bodies,
        keeper: ResponseKeeper,
    ) -> None:
        self.gateway = gateway
        self.client = client
        self.url = url
        self.server = server
        self.bodies = bodies
        self.keeper = keeper

    async def chat(self, text: str = "hello", **more: object) -> httpx.Response:
        return await self.client.post("/v1/chat/completions", json=question(text, **more))


def question(text: str = "hello", **more: object) -> dict[str, object]:
    return {"model": "anna", "messages": [{"role": "user", "content": text}], **more}


@asynccontextmanager
async def running(
    gateway: FakeGateway,
    options: ChatOptions | None = None,
    rules: TurnRules | None = None,
    cors_origins: Sequence[str] = (),
    grace: float = 1.0,
    ring: NamedKeyStore | None = None,
    callbacks: Callbacks | None = None,
    job_options: JobOptions | None = None,
    limits: Limits | None = None,
    job_rules: JobRules | None = None,
    with_texts: bool = False,
) -> AsyncIterator[Service]:
    backends = alone(gateway)
    rosters = RosterCache(backends)
    store, chats = MemoryResponseStore(), MemoryConversationStore()
    heads = ConversationHeads(store)
    keeper = ResponseKeeper(store, heads)
    stopper, monitor = TurnStopper(backends), TurnMonitor(with_texts=with_texts)
    turns = turns_of(gateway, rules, rosters, None, chats, responses=store, keeper=keeper, monitor=monitor)
    turn_reports = TurnReports(monitor, stopper, None)
    ring = ring or FakeNamedKeyStore()
    keys = ApiKeys(ApiKey(KEY.encode()), ring)
    queue = MemoryJobQueue()
    calls = callbacks or LazyCallbacks(encoded_report, allow_http=True, allow_private=True)
    job_store, publications = MemoryJobStore(), ResponsePublications(store)
    jobs = jobs_of(job_store, queue, turns, calls, keys, job_rules, publications)
    responses = Responses(store, job_store, keeper, publications, backends, rules or TurnRules())
    options = options or ChatOptions()
    bodies = Bodies(options.max_body_bytes)
    app = create_app(
        api_keys=keys,
        backends=(BackendSettings("letta", Mode.DOCKER, LettaOptions("http://letta.test")),),
        rosters=rosters,
        turns=turns,
        turn_reports=turn_reports,
        turn_monitor=monitor,
        request_observer=None,
        metrics_text=None,
        readiness=Readiness(backends, rosters),
        jobs=jobs,
        responses=responses,
        background_responses=BackgroundResponses(store, responses, jobs),
        heads=heads,
        client_conversations=ClientConversations(MemoryClientConversationStore(), chats, backends),
        key_administration=KeyAdministration(ring, keys),
        has_portal=True,
        announced=Announced("0.0.0", {"maxBodyBytes": 1}, {"portal": "metadata"}),
        conversation_catalog=ConversationCatalog(
            backends, chats, VisibleConversations(backends, chats, keys), turns, heads
        ),
        bodies=bodies,
        chat_options=options,
        repeat_errors_for=(rules or TurnRules()).repeat_errors_for,
        job_options=job_options or JobOptions(),
        cors_origins=cors_origins,
    )
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = Server(app, turns, grace, limits)
    server.bodies, server.responses, server.turn_reports = bodies, responses, turn_reports
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    revoking = asyncio.create_task(KeyRevocation(keys, turns, jobs).watch())
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {KEY}"}, timeout=20) as client:
        try:
            yield Service(gateway, client, url, server, bodies, keeper)
        finally:
            await client.aclose()
            revoking.cancel()
            server.should_exit = True
            await serving
            await queue.close()


Start = Callable[..., Awaitable[Service]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts services with other options than the default ones."""
    async with AsyncExitStack() as stack:

        async def enter(gateway: FakeGateway | None = None, **options: object) -> Service:
            return await stack.enter_async_context(running(gateway or FakeGateway(), **options))  # type: ignore[arg-type]

        yield enter


@pytest.fixture
async def service(start: Start) -> Service:
    return await start()
