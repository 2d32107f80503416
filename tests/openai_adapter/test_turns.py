"""What a server with OpenAI's API is sent, and what is said of its answers and failures."""

import json
from contextlib import aclosing

import pytest

from adapters.memory.history_store import MemoryHistoryStore
from adapters.openai.gateways import AgentServerGateway, ChatServerGateway, ModelGateway
from adapters.openai.upstream import Upstream
from domain.model.agent import Agent
from domain.model.events import Accepted, Ended, Reasoning, Text, Usage
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.turn import Image, ImageLink, Turn, TurnRequest, UserMessage
from ports.contract.samples import events_of_turn, text_of
from tests.fakes.services import Client, turns_of
from tests.openai_adapter.conftest import Foreign, Model, answer, stream

pytestmark = pytest.mark.anyio

GPT = Agent("gpt-4o", "gpt-4o", 0)
HELLO = '{"choices": [{"delta": {"content": "Hello"}}]}'
STOP = '{"choices": [{"delta": {}, "finish_reason": "stop"}]}'


def turn(text: str = "hello", conversation: str | None = None, delivery_id: str = "delivery-1") -> Turn:
    return Turn(GPT, UserMessage(text), conversation, delivery_id=delivery_id)


async def failure_of(url: str) -> Failure:
    gateway = AgentServerGateway(Upstream(url, "secret-key"))
    with pytest.raises(FailureError) as raised:
        await events_of_turn(gateway, turn())
    await gateway.close()
    assert "secret" not in str(raised.value)
    return raised.value.failure


async def test_models_are_agents_some_of_them_with_a_prefix(model: Model) -> None:
    upstream = Upstream(f"{model.url}/v1", None, ["gpt-4o-mini"], "local/")
    assert list(await upstream.agents()) == [Agent("gpt-4o-mini", "local/gpt-4o-mini", 0)]
    await upstream.close()


async def test_a_plain_model_is_told_what_was_said_before_in_this_chat_only(model: Model) -> None:
    gateway = ModelGateway(Upstream(f"{model.url}/v1", None, system="Be brief."), MemoryHistoryStore(), "models")
    client = Client(turns_of(gateway))
    for text, chat in (("one", "a"), ("two", "a"), ("three", "b"), ("four", None), ("five", None)):
        assert await client.ask(TurnRequest(GPT, UserMessage(text), chat)).text() == "Hello from the stub model ."
    said = [[message["content"] for message in messages if message["role"] == "user"] for messages in model.asked]
    assert said == [["one"], ["one", "two"], ["three"], ["four"], ["four", "five"]]
    assert [message["role"] for message in model.asked[1]] == ["user", "assistant", "user"]
    await gateway.close()


async def test_the_history_is_kept_of_a_half_answer_and_not_of_a_refused_message(
    model: Model, foreign: Foreign
) -> None:
    histories = MemoryHistoryStore()
    gateway = ModelGateway(Upstream(f"{model.url}/v1", None), histories, "models")
    async with aclosing(gateway.run(turn("[[drip 50 0.05]]", "chat-1"))) as events:
        async for event in events:
            if isinstance(event, Text):
                break
    kept = list(await histories.read("chat-1"))
    assert [said.role for said in kept] == ["user", "assistant"]
    assert kept[1].text == "w1"
    foreign.answer = answer("500 Oops")
    broken = ModelGateway(Upstream(f"{foreign.url}/v1", None), histories, "models")
    with pytest.raises(FailureError):
        await events_of_turn(broken, turn(conversation="chat-2"))
    assert list(await histories.read("chat-2")) == []
    for each in (gateway, broken):
        await each.close()


async def test_a_chat_that_is_closed_is_forgotten(model: Model) -> None:
    histories = MemoryHistoryStore()
    gateway = ModelGateway(Upstream(f"{model.url}/v1", None), histories, "models")
    conversation = await gateway.open_conversation(GPT)
    await events_of_turn(gateway, turn(conversation=conversation))
    assert [(said.role, said.text) for said in await histories.read(conversation)] == [
        ("user", "hello"),
        ("assistant", "Hello from the stub model ."),
    ]
    await gateway.close_conversation(conversation)
    assert list(await histories.read(conversation)) == []
    await gateway.close()


async def test_a_server_that_remembers_gets_the_message_alone_with_its_chat_and_our_delivery_id(
    foreign: Foreign,
) -> None:
    foreign.answer = stream(HELLO, STOP, "[DONE]")
    gateway = ChatServerGateway(Upstream(f"{foreign.url}/v1", "secret", system="Be brief."), "X-Chat")
    for delivery in ("delivery-1", "delivery-2"):
        await events_of_turn(gateway, turn("hello", "chat-1", delivery))
    head, body = foreign.requests[1].split(b"\r\n\r\n")
    assert b"\r\nx-chat: chat-1\r\n" in head.lower()
    assert b"\r\nidempotency-key: delivery-2\r\n" in head.lower()
    assert b"\r\nauthorization: bearer secret\r\n" in head.lower()
    assert json.loads(body) == {
        "model": "gpt-4o",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    await gateway.close()


async def test_images_are_sent_as_openai_has_them(foreign: Foreign) -> None:
    foreign.answer = stream(HELLO, STOP, "[DONE]")
    gateway = AgentServerGateway(Upstream(f"{foreign.url}/v1", None))
    images = (Image("image/png", "AAAA"), ImageLink("https://example.org/a.png"))
    await events_of_turn(gateway, Turn(GPT, UserMessage("look", images)))
    body = json.loads(foreign.requests[0].split(b"\r\n\r\n")[1])
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]
    await gateway.close()


async def test_reasoning_usage_and_a_cut_off_answer(foreign: Foreign) -> None:
    foreign.answer = stream(
        '{"choices": [{"delta": {"role": "assistant", "reasoning_content": "Hm."}}]}',
        HELLO,
        '{"choices": [{"delta": {"content": null}, "finish_reason": "length"}]}',
        '{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}',
        "[DONE]",
    )
    gateway = AgentServerGateway(Upstream(f"{foreign.url}/v1", None))
    events = await events_of_turn(gateway, turn())
    assert events == [Accepted("delivery-1"), Reasoning("Hm."), Text("Hello"), Usage(3, 2), Ended(cut_off=True)]
    await gateway.close()


async def test_an_answer_that_comes_whole_is_taken_too(foreign: Foreign) -> None:
    foreign.answer = answer("200 OK", '{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}')
    gateway = AgentServerGateway(Upstream(f"{foreign.url}/v1", None))
    assert text_of(await events_of_turn(gateway, turn())) == "Hi"
    await gateway.close()


@pytest.mark.parametrize(
    ("status", "code", "delivery"),
    [
        ("302 Found", FailureCode.UPSTREAM_REDIRECT, Delivery.NO),
        ("400 Bad", FailureCode.UNSUPPORTED_CONTENT, Delivery.NO),
        ("401 No", FailureCode.UPSTREAM_AUTHENTICATION, Delivery.NO),
        ("402 Pay", FailureCode.INSUFFICIENT_QUOTA, Delivery.NO),
        ("404 Not", FailureCode.MODEL_NOT_FOUND, Delivery.NO),
        ("413 Large", FailureCode.UPSTREAM_TOO_LARGE, Delivery.NO),
        ("418 Tea", FailureCode.AGENT_ERROR, Delivery.NO),
        ("429 Slow", FailureCode.BACKEND_RATE_LIMIT, Delivery.NO),
        ("500 Oops", FailureCode.LLM_ERROR, Delivery.UNKNOWN),
        ("502 Bad", FailureCode.LLM_ERROR, Delivery.UNKNOWN),
        ("503 Away", FailureCode.BACKEND_UNAVAILABLE, Delivery.NO),
    ],
)
async def test_what_a_status_says(foreign: Foreign, status: str, code: FailureCode, delivery: Delivery) -> None:
    foreign.answer = answer(status, '{"error": {"message": "the provider\'s own words"}}', headers="retry-after: 7\r\n")
    failure = await failure_of(foreign.url)
    assert (failure.code, failure.delivery) == (code, delivery)
    assert "own words" not in failure.sentence


async def test_a_rate_limit_says_when_to_come_back(foreign: Foreign) -> None:
    foreign.answer = answer("429 Slow", headers="retry-after: 7\r\n")
    assert (await failure_of(foreign.url)).retry_after == 7


@pytest.mark.parametrize(
    ("bytes_", "code", "delivery"),
    [
        (b"", FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/event", FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN),
        (answer("200 OK", ""), FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN),
        (answer("200 OK", "<p>hello</p>", "text/html"), FailureCode.UPSTREAM_UNEXPECTED, Delivery.NO),
        (stream(HELLO), FailureCode.CONNECTION_LOST, Delivery.YES),
        (stream(HELLO, cut=True), FailureCode.CONNECTION_LOST, Delivery.YES),
        (stream(HELLO, "not json"), FailureCode.ANSWER_INCOMPLETE, Delivery.YES),
        (stream(HELLO, "[" * 100_000), FailureCode.ANSWER_INCOMPLETE, Delivery.YES),
        (stream(HELLO, '{"error": {"message": "own words"}}'), FailureCode.LLM_ERROR, Delivery.YES),
        (answer("200 OK", "[]"), FailureCode.ANSWER_INCOMPLETE, Delivery.YES),
    ],
)
async def test_what_an_odd_answer_says(foreign: Foreign, bytes_: bytes, code: FailureCode, delivery: Delivery) -> None:
    foreign.answer = bytes_
    failure = await failure_of(foreign.url)
    assert (failure.code, failure.delivery) == (code, delivery)
    assert len(foreign.requests) == 1


async def test_a_refused_connection_delivers_nothing() -> None:
    failure = await failure_of("http://127.0.0.1:9")
    assert (failure.code, failure.delivery) == (FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)


@pytest.mark.parametrize("body", ["[]", "nothing", '{"data": [{"name": "x"}]}', "[" * 100_000])
async def test_a_list_of_models_that_cannot_be_read(foreign: Foreign, body: str) -> None:
    foreign.answer = answer("200 OK", body)
    upstream = Upstream(f"{foreign.url}/v1", None)
    with pytest.raises(FailureError) as raised:
        await upstream.agents()
    assert raised.value.failure.code is FailureCode.UPSTREAM_UNEXPECTED
    await upstream.close()
