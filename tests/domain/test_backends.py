"""What is done without the abilities that a backend lacks, and how several backends are one list of agents."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from adapters.memory.conversation_store import MemoryConversationStore
from domain.model.agent import Agent, ConfiguredAgent
from domain.model.api_key import Caller
from domain.model.events import Accepted, Ended, Failed, Text, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.identity import Identity
from domain.model.turn import Turn, TurnRequest, UserMessage
from domain.services.backends import Backend, Backends
from domain.services.readiness import Readiness
from domain.services.roster_cache import RosterCache
from ports.contract.fake import ECHOES, EchoGateway
from ports.contract.gateway import GatewayContract
from ports.contract.samples import Samples
from tests.fakes.gateway import FakeGateway
from tests.fakes.services import Client, turns_of

pytestmark = pytest.mark.anyio

ECHO = ECHOES[0]
DOWN = Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO, "down")


class TestEchoGateway(GatewayContract):
    """The fake that ships with the contract keeps it."""

    @pytest.fixture
    def gateway(self) -> EchoGateway:
        return EchoGateway()

    @pytest.fixture
    def samples(self) -> Samples:
        return Samples(plain="hello", plain_says="You said: hello")


class SlowGateway(EchoGateway):
    """Says one word, and takes ten seconds for the next; or breaks instead."""

    def __init__(self, broken: Failure | None = None) -> None:
        super().__init__()
        self.ended = 0
        self._broken = broken

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        self.delivered.append(turn)
        yield Accepted()
        yield Text("so far")
        if self._broken is not None:
            raise FailureError(self._broken)
        await asyncio.sleep(10)
        self.ended += 1
        yield Ended()


def request(text: str = "q", chat: str | None = None, ephemeral: bool = False) -> TurnRequest:
    return TurnRequest(ECHO, UserMessage(text), chat, ephemeral=ephemeral)


@pytest.mark.parametrize("asked", [request(chat="chat"), request(ephemeral=True)])
async def test_without_conversations_what_is_meant_for_one_chat_is_refused(asked: TurnRequest) -> None:
    gateway = EchoGateway()
    failure = await Client(turns_of(gateway)).ask(asked).failure()
    assert (failure.code, failure.delivery) == (FailureCode.CHATS_NOT_SUPPORTED, Delivery.NO)
    assert "server.api.conversations: shared" in failure.sentence
    assert gateway.delivered == []
    assert await Client(turns_of(gateway)).ask(request()).text() == "You said: q"


async def test_without_conversations_a_chat_that_had_one_in_another_backend_is_refused_too() -> None:
    store = MemoryConversationStore()
    await store.keep(ECHO.key, "chat", "conversation-1")
    failure = await Client(turns_of(EchoGateway(), conversation_store=store)).ask(request(chat="chat")).failure()
    assert failure.code is FailureCode.CHATS_NOT_SUPPORTED


async def test_without_stops_a_turn_whose_client_hangs_up_goes_on_and_the_next_one_waits() -> None:
    gateway = SlowGateway()
    client = Client(turns_of(gateway))
    await client.ask(request()).hang_up_after(1)
    await asyncio.sleep(5)
    assert gateway.ended == 0
    after = client.ask(request("next"))
    await after.answer()
    assert gateway.ended == 2
    assert [turn.message for turn in gateway.delivered] == [UserMessage("q"), UserMessage("next")]


async def test_without_stops_what_still_waits_is_not_delivered_after_a_hang_up() -> None:
    gateway = SlowGateway()
    client = Client(turns_of(gateway))
    first = client.ask(request())
    await client.ask(request("waits")).hang_up_after(0.1)
    await first.answer()
    await asyncio.sleep(5)
    assert len(gateway.delivered) == 1


async def test_without_records_a_broken_connection_is_told_with_what_is_known() -> None:
    lost = Failure(FailureCode.CONNECTION_LOST, Delivery.YES, "cut")
    asked = Client(turns_of(SlowGateway(lost))).ask(request())
    *said, last = await asked.answer()
    assert said == [Accepted(), Text("so far")]
    assert last == Failed(lost)
    assert asyncio.get_running_loop().time() < 1


async def test_without_records_a_retry_of_a_broken_turn_delivers_nothing() -> None:
    gateway = SlowGateway(Failure(FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN, "cut"))
    client = Client(turns_of(gateway))
    identity = Identity(b"body", idempotency_key="key")
    for _ in range(2):
        failure = await client.ask(request(), identity).failure()
        assert (failure.code, failure.delivery) == (FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN)
    assert len(gateway.delivered) == 1


async def test_without_deduplication_no_turn_asks_for_it() -> None:
    gateway = EchoGateway()
    deduplicated = TurnRequest(ECHO, UserMessage("q"), deduplicated=True)
    assert await Client(turns_of(gateway)).ask(deduplicated, Identity(b"body", job="job")).text() == "You said: q"
    assert [turn.deduplicated for turn in gateway.delivered] == [False]


class Listed(EchoGateway):
    """`down`: it does not answer."""

    def __init__(self, *names: str, down: bool = False, ids: str = "agent") -> None:
        super().__init__([Agent(f"{ids}-{number}", name, number) for number, name in enumerate(names)])
        self.down = down

    async def agents(self) -> Sequence[Agent]:
        if self.down:
            raise FailureError(DOWN)
        return await super().agents()


def two(home: EchoGateway, code: EchoGateway) -> Backends:
    return Backends([Backend.of("home", home), Backend.of("code", code)])


def rosters(home: EchoGateway, code: EchoGateway, *configured: ConfiguredAgent) -> RosterCache:
    return RosterCache(two(home, code), configured, clock=asyncio.get_running_loop().time)


async def test_a_shared_name_is_the_first_backend_s_and_both_can_be_asked_for() -> None:
    kept = rosters(Listed("anna", "bert"), Listed("anna", "carl", ids="local"))
    roster = await kept.current()
    assert [model.name for model in roster.models] == ["anna", "bert", "code/anna", "carl"]
    for name, key in {
        "anna": "agent-0",
        "home/anna": "agent-0",
        "code/anna": "code/local-0",
        "carl": "code/local-1",
        "code/carl": "code/local-1",
        "local-1": "code/local-1",
        "agent-1": "agent-1",
        "code/local-0": "code/local-0",
    }.items():
        assert (await kept.resolve(name)).agent.key == key


async def test_agents_with_the_same_id_in_two_backends_are_two_agents() -> None:
    home, code = Listed("anna"), Listed("bert")
    turns = turns_of(home, backends=two(home, code))
    kept = rosters(home, code)
    for name in ("anna", "bert"):
        agent = (await kept.resolve(name)).agent
        assert await Client(turns).ask(TurnRequest(agent, UserMessage(name))).text() == f"You said: {name}"
    assert [turn.message for turn in home.delivered] == [UserMessage("anna")]
    assert [turn.message for turn in code.delivered] == [UserMessage("bert")]
    assert (await kept.resolve("agent-0")).name == "anna"
    assert (await kept.resolve("code/agent-0")).name == "bert"


async def test_chats_of_agents_with_the_same_id_are_kept_apart_and_old_ones_are_found() -> None:
    store = MemoryConversationStore()
    home, code = FakeGateway(), FakeGateway()
    home.kept_conversations.append("old")
    anna = home.known[0]
    # As it was written when there was one backend.
    await store.keep(anna.id, "chat", "old")
    backends = Backends([Backend.of("home", home), Backend.of("code", code)])
    client = Client(turns_of(home, conversation_store=store, backends=backends))
    for backend in ("", "code"):
        agent = Agent(anna.id, anna.name, anna.created_at, backend)
        await client.ask(TurnRequest(agent, UserMessage("q"), "chat")).text()
    assert [turn.conversation for turn in home.delivered] == ["old"]
    assert [turn.conversation for turn in code.delivered] == ["conversation-1"]
    assert await store.find(anna.id, "chat") == "old"
    assert await store.find(f"code/{anna.id}", "chat") == "conversation-1"


async def test_a_backend_that_goes_down_keeps_its_agents_in_the_list() -> None:
    home, code = Listed("anna"), Listed("carl", ids="local")
    kept = rosters(home, code)
    await kept.current()
    code.down = True
    await asyncio.sleep(20)
    await kept.refresh()
    assert [model.name for model in (await kept.current()).models] == ["anna", "carl"]
    with pytest.raises(FailureError) as raised:
        await kept.resolve("nobody")
    assert raised.value.failure.code is FailureCode.MODEL_NOT_FOUND


async def test_while_a_backend_was_never_reached_unknown_names_are_not_unknown_for_sure() -> None:
    code = Listed("carl", ids="local", down=True)
    kept = rosters(Listed("anna"), code)
    assert [model.name for model in (await kept.current()).models] == ["anna"]
    with pytest.raises(FailureError) as raised:
        await kept.resolve("carl")
    assert raised.value.failure == DOWN
    code.down = False
    await asyncio.sleep(15)
    await kept.current()
    await asyncio.sleep(0)
    assert (await kept.resolve("carl")).agent.key == "code/local-0"


async def test_no_model_means_the_first_agent_even_if_it_is_away() -> None:
    home = Listed("anna", down=True)
    kept = rosters(home, Listed("carl", ids="local"))
    assert (await kept.resolve("carl")).name == "carl"
    with pytest.raises(FailureError) as raised:
        await kept.resolve(None)
    assert raised.value.failure == DOWN
    home.down = False
    await asyncio.sleep(15)
    await kept.refresh()
    assert (await kept.resolve(None)).name == "anna"


async def test_configured_agents_may_name_their_backend() -> None:
    home, code = Listed("anna"), Listed("anna", "carl", ids="local")
    wanted = [ConfiguredAgent("anna", backend="code"), ConfiguredAgent("boss", "agent-0"), ConfiguredAgent("carl")]
    roster = await rosters(home, code, *wanted).current()
    keys = [(model.name, model.agent.key) for model in roster.models]
    assert keys == [("anna", "code/local-0"), ("boss", "agent-0"), ("carl", "code/local-1")]
    assert (await rosters(home, code, ConfiguredAgent("anna")).current()).models[0].agent.key == "agent-0"


async def test_a_key_for_an_agent_s_id_is_for_the_first_backend_s_agent_only() -> None:
    kept = rosters(Listed("anna"), Listed("bert"))
    caller = Caller("key", agents=("agent-0",))
    assert (await kept.resolve("agent-0", caller)).name == "anna"
    with pytest.raises(FailureError):
        await kept.resolve("bert", caller)
    assert (await kept.resolve("bert", Caller("key", agents=("code/agent-0",)))).name == "bert"


async def test_readiness_says_for_each_backend_how_it_is_and_what_it_can() -> None:
    home, code = Listed("anna"), Listed("carl", down=True)
    backends = two(home, code)
    states = await Readiness(backends, RosterCache(backends)).states()
    assert [(state.name, state.failure, state.abilities) for state in states] == [
        ("home", None, ()),
        ("code", DOWN, ()),
    ]
    fake = Backends([Backend.of("fake", FakeGateway())])
    [state] = await Readiness(fake, RosterCache(fake)).states()
    assert state.abilities == (
        "check credential",
        "find by name",
        "stop runs",
        "records of runs",
        "deduplicate",
        "conversations",
        "list of conversations",
        "names of conversations",
        "forks",
        "approvals",
        "history",
    )


async def test_a_job_of_a_backend_that_is_not_configured_any_more_is_not_delivered() -> None:
    gateway = EchoGateway()
    agent = Agent(ECHO.id, ECHO.name, 1, "gone")
    failure = await Client(turns_of(gateway)).ask(TurnRequest(agent, UserMessage("q"))).failure()
    assert (failure.code, failure.delivery) == (FailureCode.MODEL_NOT_FOUND, Delivery.NO)
    assert gateway.delivered == []
