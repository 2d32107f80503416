"""The one place where everything is wired. Backends are imported only when they are chosen."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dependency_injector import containers, providers

from adapters.memory.conversation_book import MemoryConversationBook
from adapters.memory.turn_ledger import MemoryTurnLedger
from adapters.sql.late import LateConversationBook, LateTurnLedger, State
from domain.model.api_key import ApiKey
from domain.services.api_keys import ApiKeys
from domain.services.conversations import Conversations
from domain.services.delivering import Delivering
from domain.services.lanes import Lanes
from domain.services.readiness import Readiness
from domain.services.recording import Recording
from domain.services.retries import Retries
from domain.services.rosters import Rosters
from domain.services.turns import Turns
from domain.services.wording import Wording
from entrypoints.http.app import create_app
from entrypoints.keys import key_ring
from entrypoints.settings import Mode, Settings
from entrypoints.start_error import CannotStartError
from ports.agent_gateway import AgentGateway
from ports.conversation_book import ConversationBook
from ports.key_store import KeyRing
from ports.turn_ledger import TurnLedger


def letta_gateway(settings: Settings) -> AgentGateway:
    from adapters.letta.gateway import LettaGateway, letta_client

    return LettaGateway(letta_client(settings.letta_base_url, settings.letta_api_key))


def embedded_gateway(settings: Settings) -> AgentGateway:
    from adapters.embedded.gateway import EmbeddedGateway
    from adapters.embedded.notebook import NotebookError

    names = [agent.name for agent in settings.agents if agent.name]
    try:
        return EmbeddedGateway(settings.embedded_database, names or ["lettabot"])
    except NotebookError as error:
        raise CannotStartError(str(error)) from error


def database(settings: Settings) -> State | None:
    return None if settings.state is None else State(settings.state)


def conversation_book(state: State | None) -> ConversationBook:
    return MemoryConversationBook() if state is None else LateConversationBook(state)


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
    conversations = providers.Singleton(Conversations, gateway, conversation_book)
    wording = providers.Singleton(Wording)
    delivering = providers.Singleton(Delivering, gateway, conversations, wording, turn_rules)
    retries = providers.Singleton(Retries, turn_rules)
    recording = providers.Singleton(Recording, delivering, retries, turn_ledger, turn_rules)
    lanes = providers.Singleton(Lanes, turn_rules.max_waiting, turn_rules.max_waiting_overall)
    turns = providers.Singleton(Turns, recording, delivering, wording, retries, lanes, rosters, turn_rules)

    key_ring: providers.Provider[KeyRing] = providers.Singleton(key_ring, settings)
    api_keys = providers.Singleton(ApiKeys, api_key, key_ring)

    app = providers.Singleton(
        create_app,
        api_keys=api_keys,
        mode=settings.provided.mode,
        rosters=rosters,
        turns=turns,
        readiness=readiness,
        chat_options=settings.provided.chat_options,
        cors_origin=settings.provided.cors_origin,
    )


@asynccontextmanager
async def opened(container: Container) -> AsyncIterator[AgentGateway]:
    """The container's gateway, closed at the end; raises `CannotStartError`."""
    gateway = container.gateway()
    try:
        yield gateway
    finally:
        await gateway.close()
        if (state := container.state()) is not None:
            await state.close()
