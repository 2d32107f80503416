"""Whatever clients do, in whatever order: one user message, one delivery."""

import asyncio
from collections import Counter, defaultdict

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.model.answer_text import whole_text
from domain.model.events import Accepted, Ended, Failed, Text, ToolCall, ToolResult, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.identity import Identity
from domain.model.turn import TurnRequest, UserMessage
from domain.model.turn_rules import OnDisconnect, TurnRules
from tests.examples import examples
from tests.fakes.gateway import ANNA, FakeGateway, Step
from tests.fakes.processes import Processes
from tests.fakes.services import Asked, Client, turns_of

pytestmark = pytest.mark.anyio


class Try(msgspec.Struct, frozen=True):
    """One request of a client, to that process: after `pause`, and given up after `patience` seconds."""

    pause: float
    patience: float
    sync: bool
    process: int


class Question(msgspec.Struct, frozen=True):
    """A question that a client asks, and asks again with the same key for as long as it gets no whole answer."""

    chat: str | None
    script: str
    tries: tuple[Try, ...]


def scripts(text: str) -> dict[str, list[Step]]:
    says = Text(f"answer to {text}")
    tool: list[Step] = [ToolCall("c", "t", "{}"), ToolResult("c", "r")]
    return {
        "plain": [Accepted("run"), says, Ended()],
        "slow": [0.5, Accepted("run"), 2.0, says, 2.0, Ended()],
        "tool": [Accepted("run"), *tool, 3.0, says, Ended()],
        "fails": [Accepted("run"), *tool, 1.0, Failure(FailureCode.LLM_ERROR, Delivery.YES)],
        "refused": [Accepted("run"), 0.5, Failure(FailureCode.LLM_RATE_LIMIT, Delivery.NO)],
        "unknown": [0.5, Failure(FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN)],
        "breaks": [Accepted("run"), says, Failure(FailureCode.CONNECTION_LOST, Delivery.YES)],
    }


tries = st.builds(Try, st.floats(0, 6), st.floats(0.1, 12), st.booleans(), st.integers(0, 2))
questions = st.builds(
    Question,
    st.sampled_from([None, "chat a", "chat b"]),
    st.sampled_from(list(scripts(""))),
    st.lists(tries, min_size=1, max_size=4).map(tuple),
)


@settings(deadline=None, max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(questions, min_size=1, max_size=6), st.sampled_from(OnDisconnect), st.integers(0, 8), st.integers(1, 3))
async def test_each_message_is_delivered_once_or_the_client_knows_better(
    asked: list[Question], policy: OnDisconnect, max_waiting: int, count: int
) -> None:
    gateway = FakeGateway()
    rules = TurnRules(on_disconnect=policy, max_waiting=max_waiting, recovery_timeout=5)
    processes = [turns_of(gateway, rules)] if count == 1 else Processes(gateway, count, rules).turns
    got: dict[str, list[list[TurnEvent]]] = defaultdict(list)
    for number, question in enumerate(asked):
        gateway.answers[f"q{number}"] = scripts(f"q{number}")[question.script]

    async def ask(text: str, question: Question) -> None:
        request = TurnRequest(ANNA, UserMessage(text), question.chat)
        for each in question.tries:
            await asyncio.sleep(each.pause)
            try:
                turns = processes[each.process % count]
                reading = Client(turns, each.sync).ask(request, Identity(text.encode(), idempotency_key=text))
            except FailureError:
                continue
            if await is_answered(reading, each.patience):
                got[text].append(reading.events)
                return

    async def is_answered(reading: Asked, patience: float) -> bool:
        try:
            async with asyncio.timeout(patience):
                await reading.answer()
        except TimeoutError:
            reading.hang_up()
            return False
        return not isinstance(reading.events[-1], Failed)

    await asyncio.gather(*(ask(f"q{number}", question) for number, question in enumerate(asked)))
    await asyncio.sleep(300)

    heard = Counter(gateway.heard)
    for number, question in enumerate(asked):
        text = f"q{number}"
        assert heard[text] <= 1, "a message was delivered twice"
        for events in got[text]:
            assert heard[text] == 1, "an answer without a delivery"
            said = whole_text(events)
            assert all(f"answer to q{other}" not in said for other in range(len(asked)) if other != number)
            if question.script in ("plain", "slow"):
                assert said == f"answer to {text}"
    assert gateway.most_at_once <= 1, "two turns at once in one conversation"
    for turns in processes:
        assert not turns._running, "a turn never came to its end"
        assert turns._queue._lanes.lengths() == {}


@settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.floats(0, 3), st.sampled_from(["plain", "slow", "tool"]), st.integers(0, 2)),
        min_size=1,
        max_size=8,
    ),
    st.booleans(),
)
async def test_who_stays_is_answered_in_the_order_of_arrival(
    arrivals: list[tuple[float, str, int]], shared: bool
) -> None:
    gateway = FakeGateway()
    clients = [Client(turns) for turns in (Processes(gateway, 3).turns if shared else [turns_of(gateway)] * 3)]
    order: list[str] = []

    async def ask(number: int, pause: float, process: int) -> str:
        await asyncio.sleep(pause)
        order.append(f"q{number}")
        return await clients[process].ask(f"q{number}").text()

    for number, (_, script, _) in enumerate(arrivals):
        gateway.answers[f"q{number}"] = scripts(f"q{number}")[script]
    answers = await asyncio.gather(
        *(ask(number, pause, process) for number, (pause, _, process) in enumerate(arrivals))
    )
    assert answers == [f"answer to q{number}" for number in range(len(arrivals))]
    assert gateway.heard == order
