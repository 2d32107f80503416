"""What a retry gets whose first request went to a process that is no more."""

import asyncio
from collections.abc import Sequence

import pytest

from adapters.memory.conversation_store import MemoryConversationStore
from adapters.memory.turn_store import MemoryTurnStore
from domain.model.events import Accepted, Ended, Text, ToolCall, ToolResult
from domain.model.failure_table import FAILURES, FailureCode, FailureKind
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.identity import Identity
from domain.model.lane import DEFAULT_CHAT
from domain.model.turn import TurnRequest, UserMessage
from domain.model.turn_rules import OnDisconnect, TurnRules
from tests.fakes.gateway import ANNA, FakeGateway, Step
from tests.fakes.services import Asked, Client, turns_of
from tests.fakes.turn_store import MortalTurnStore

pytestmark = pytest.mark.anyio

OF_A_QUESTION = sorted(
    {code for code, info in FAILURES.items() if info.kind is FailureKind.UNAVAILABLE} | {FailureCode.UPSTREAM_TOO_LARGE}
)
KEY = Identity(b"body", idempotency_key="key")
SLOW: Sequence[Step] = [Accepted("run"), Text("so far"), 10.0, Text(" and on"), Ended()]
LATE: Sequence[Step] = [10.0, Accepted("run"), Text("at last"), Ended()]
FAILS: Sequence[Step] = [
    Accepted("run"),
    ToolCall("c", "t", "{}"),
    ToolResult("c", "r"),
    Failure(FailureCode.LLM_ERROR, Delivery.YES),
]
BREAKS: Sequence[Step] = [Failure(FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN)]


class Service:
    """Processes that share a turn store and a gateway, one after the other."""

    def __init__(self) -> None:
        self.gateway = FakeGateway(answers={"slow": SLOW, "late": LATE, "fails": FAILS, "breaks": BREAKS})
        self.kept = MemoryTurnStore()
        self.store = MemoryConversationStore()
        self.start()

    def start(self) -> None:
        self.turn_store = MortalTurnStore(self.kept)
        rules = TurnRules(on_disconnect=OnDisconnect.FINISH)
        self.client = Client(
            turns_of(self.gateway, rules, turn_store=self.turn_store, conversation_store=self.store), sync=True
        )

    def kill(self) -> None:
        """What runs on the backend goes on."""
        self.turn_store.dead = True
        self.start()

    def ask(self, text: str, identity: Identity = KEY, deduplicated: bool = False) -> Asked:
        return self.client.ask(TurnRequest(ANNA, UserMessage(text), deduplicated=deduplicated), identity)

    async def killed_before_delivery(self, text: str, deduplicated: bool = False) -> None:
        self.turn_store.dies_after_taking = True
        await self.killed_after(1, text, deduplicated)

    async def killed_after(self, seconds: float, text: str, deduplicated: bool = False) -> None:
        self.ask(text, deduplicated=deduplicated)
        await asyncio.sleep(seconds)
        self.kill()


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.mark.parametrize("recognises_all", [False, True])
async def test_a_backend_that_recognises_all_deliveries_is_sent_again_what_it_does_not_have(
    service: Service, recognises_all: bool
) -> None:
    service.gateway.deduplicates_all = recognises_all
    await service.killed_before_delivery("hello")
    asked = service.ask("hello")
    if recognises_all:
        assert await asked.text() == "You said: hello"
        assert service.gateway.heard == ["hello"]
    else:
        assert (await asked.failure()).code is FailureCode.DELIVERY_UNKNOWN
        assert service.gateway.heard == []


async def test_an_answer_is_replayed_after_a_restart(service: Service) -> None:
    assert await service.ask("hello").text() == "You said: hello"
    service.kill()
    again = service.ask("hello")
    assert await again.text() == "You said: hello"
    assert again.reading.replayed
    assert service.gateway.heard == ["hello"]


async def test_a_first_request_is_no_replay(service: Service) -> None:
    asked = service.ask("hello")
    await asked.text()
    assert not asked.reading.replayed


async def test_a_failure_after_delivery_is_repeated_after_a_restart(service: Service) -> None:
    first = await service.ask("fails").failure()
    service.kill()
    again = await service.ask("fails").failure()
    assert (again.code, again.delivery) == (first.code, first.delivery)
    assert again.repeated
    assert len(service.gateway.delivered) == 1


async def test_a_key_is_for_one_request_also_after_a_restart(service: Service) -> None:
    await service.ask("hello").text()
    service.kill()
    failure = await service.ask("other", Identity(b"other body", idempotency_key="key")).failure()
    assert (failure.code, failure.delivery) == (FailureCode.IDEMPOTENCY_KEY_CONFLICT, Delivery.NO)
    assert service.gateway.heard == ["hello"]


async def test_what_was_not_delivered_is_delivered_after_a_restart(service: Service) -> None:
    service.gateway.down = Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)
    assert (await service.ask("hello").failure()).code is FailureCode.BACKEND_UNAVAILABLE
    service.kill()
    service.gateway.down = None
    assert await service.ask("hello").text() == "You said: hello"


@pytest.mark.parametrize("deduplicated", [False, True])
async def test_a_process_that_dies_in_mid_answer(service: Service, deduplicated: bool) -> None:
    await service.killed_after(1, "slow", deduplicated)
    again = service.ask("slow", deduplicated=deduplicated)
    assert await again.text() == "so far and on"
    assert again.reading.replayed
    assert len(service.gateway.delivered) == 1
    service.kill()
    assert await service.ask("slow", deduplicated=deduplicated).text() == "so far and on"
    assert len(service.gateway.delivered) == 1


@pytest.mark.parametrize("deduplicated", [False, True])
async def test_a_process_that_dies_before_the_first_word(service: Service, deduplicated: bool) -> None:
    await service.killed_after(1, "late", deduplicated)
    assert await service.ask("late", deduplicated=deduplicated).text() == "at last"
    assert len(service.gateway.delivered) == 1


async def test_a_process_that_dies_before_it_delivers(service: Service) -> None:
    await service.killed_before_delivery("hello", deduplicated=True)
    assert await service.ask("hello", deduplicated=True).text() == "You said: hello"
    assert service.gateway.heard == ["hello"]


async def test_where_nobody_can_know_the_client_is_told_so(service: Service) -> None:
    await service.killed_before_delivery("hello")
    for _ in range(2):
        failure = await service.ask("hello").failure()
        assert (failure.code, failure.delivery) == (FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN)
        assert failure.repeated
        service.kill()
    assert service.gateway.heard == []


@pytest.mark.parametrize("code", OF_A_QUESTION)
async def test_while_the_backend_cannot_be_asked_nothing_is_decided(service: Service, code: FailureCode) -> None:
    await service.killed_after(1, "slow")
    service.gateway.down = Failure(code, Delivery.NO)
    failure = await service.ask("slow").failure()
    assert (failure.code, failure.delivery) == (code, Delivery.UNKNOWN)
    service.gateway.down = None
    service.kill()
    assert await service.ask("slow").text() == "so far and on"
    assert len(service.gateway.delivered) == 1


async def test_a_run_that_left_no_trace_is_delivered_again(service: Service) -> None:
    await service.killed_after(1, "slow")
    [(run_id, run)] = service.gateway.runs.items()
    await service.gateway.cancel(run.turn, run_id)
    await asyncio.sleep(1)
    assert await service.ask("slow").text() == "so far and on"
    assert len(service.gateway.runs) == 2
    assert len(service.gateway.delivered) == 1


async def test_a_run_that_the_backend_has_forgotten_is_not_waited_for(service: Service) -> None:
    await service.killed_after(1, "slow", deduplicated=True)
    service.gateway.records["run-1"] = [None]
    before = asyncio.get_running_loop().time()
    failure = await service.ask("slow", deduplicated=True).failure()
    assert (failure.code, failure.delivery) == (FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN)
    assert failure.repeated
    assert asyncio.get_running_loop().time() - before < 10
    assert len(service.gateway.delivered) == 1


async def test_a_message_that_is_perhaps_stored_without_its_id_is_not_sent_again(service: Service) -> None:
    await service.killed_before_delivery("hello", deduplicated=True)
    service.gateway.alike.add("hello")
    failure = await service.ask("hello", deduplicated=True).failure()
    assert (failure.code, failure.delivery) == (FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN)
    assert service.gateway.heard == []


async def test_a_deduplicated_turn_whose_connection_broke_finds_out_later(service: Service) -> None:
    failure = await service.ask("breaks", deduplicated=True).failure()
    assert failure.code is FailureCode.DELIVERY_UNKNOWN
    assert not failure.repeated
    service.kill()
    service.gateway.answers["breaks"] = [Accepted("run"), Text("here"), Ended()]
    service.gateway.runs.clear()
    assert await service.ask("breaks", deduplicated=True).text() == "here"


async def test_without_deduplication_the_message_is_sent_as_usual(service: Service) -> None:
    service.gateway.deduplicates = False
    assert await service.ask("hello", deduplicated=True).text() == "You said: hello"
    [delivered] = service.gateway.delivered
    assert not delivered.deduplicated


async def test_a_turn_store_that_fails_fails_before_delivery(service: Service) -> None:
    service.turn_store.broken = True
    failure = await service.ask("hello").failure()
    assert (failure.code, failure.delivery) == (FailureCode.STATE_UNAVAILABLE, Delivery.NO)
    assert service.gateway.heard == []
    service.turn_store.broken = False
    assert await service.ask("hello").text() == "You said: hello"


async def test_a_turn_store_that_fails_after_delivery_costs_nobody_the_answer(service: Service) -> None:
    asked = service.ask("slow")
    await asyncio.sleep(1)
    service.turn_store.broken = True
    assert await asked.text() == "so far and on"
    service.kill()
    assert await service.ask("slow").text() == "so far and on"
    assert len(service.gateway.delivered) == 1


async def test_turns_without_a_key_need_no_turn_store(service: Service) -> None:
    service.turn_store.broken = True
    assert await service.ask("hello", Identity(b"body")).text() == "You said: hello"


async def test_a_key_in_use_attaches_in_the_same_process(service: Service) -> None:
    first = service.ask("slow")
    await asyncio.sleep(1)
    again = service.ask("slow")
    with pytest.raises(FailureError):
        service.ask("slow", Identity(b"other", idempotency_key="key"))
    assert await again.text() == await first.text() == "so far and on"


async def test_what_was_perhaps_sent_keeps_its_delivery_id_if_it_is_refused_now(service: Service) -> None:
    await service.killed_before_delivery("hello", deduplicated=True)
    [before] = service.kept._records.values()
    service.gateway.busy.add((ANNA.id, None))
    refused = await service.ask("hello", deduplicated=True).failure()
    assert (refused.code, refused.delivery) == (FailureCode.CONVERSATION_BUSY, Delivery.NO)
    service.gateway.busy.clear()
    assert await service.ask("hello", deduplicated=True).text() == "You said: hello"
    [delivered] = service.gateway.delivered
    assert delivered.delivery_id == before.delivery_id


@pytest.mark.parametrize("deduplicated", [False, True])
async def test_after_its_chat_was_assigned_elsewhere_nobody_says_what_became_of_a_dead_processs_message(
    service: Service, deduplicated: bool
) -> None:
    """It may be in the conversation of before, so that sending it again could deliver it twice."""
    service.gateway.kept_conversations.append("elsewhere")
    await service.killed_before_delivery("hello", deduplicated)
    await service.store.assign(ANNA.key, DEFAULT_CHAT, "elsewhere")
    failure = await service.ask("hello", deduplicated=deduplicated).failure()
    assert (failure.code, failure.delivery) == (FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN)
    assert service.gateway.heard == []


async def test_a_message_that_was_answered_is_replayed_wherever_its_chat_goes_now(service: Service) -> None:
    assert await service.ask("hello").text() == "You said: hello"
    await asyncio.sleep(1)
    service.kill()
    service.gateway.kept_conversations.append("elsewhere")
    await service.store.assign(ANNA.key, DEFAULT_CHAT, "elsewhere")
    assert await service.ask("hello").text() == "You said: hello"
    assert service.gateway.heard == ["hello"]
