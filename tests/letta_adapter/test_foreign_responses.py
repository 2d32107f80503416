"""What is said when Letta's address redirects, is somebody else's, or refuses for reasons of its own."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from email.utils import formatdate

import pytest

from adapters.letta.client import letta_client
from adapters.letta.gateway import LettaGateway
from domain.model.agent import Agent
from domain.model.events import Text
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.turn import Turn, UserMessage
from ports.contract.samples import events_of
from tests.letta_adapter.foreign_server import HTML, JSON, PAGE, Reply, Stranger
from tests.letta_adapter.scripted import stop, text

pytestmark = pytest.mark.anyio

AGENT = Agent("agent-00000000-0000-4000-8000-000000000000", "name 0", 0)
TURN = Turn(AGENT, UserMessage("hello"), delivery_id="delivery-1")

Met = tuple[Stranger, LettaGateway]
Meet = Callable[[Callable[[str, str], Reply]], Awaitable[Met]]

REQUESTS: dict[str, Callable[[LettaGateway], Awaitable[object]]] = {
    "agents": lambda gateway: gateway.agents(),
    "find by name": lambda gateway: gateway.find("anna"),
    "find by id": lambda gateway: gateway.find(AGENT.id),
    "check": lambda gateway: gateway.check(),
    "cancel": lambda gateway: gateway.cancel(TURN, "run-1"),
    "record": lambda gateway: gateway.record(TURN, "run-1"),
    "find run": lambda gateway: gateway.find_run(TURN),
    "open": lambda gateway: gateway.open_conversation(AGENT),
    "close": lambda gateway: gateway.close_conversation("conv-1"),
    "send": lambda gateway: events_of(gateway, AGENT, "hello"),
}


@pytest.fixture
async def meet() -> AsyncIterator[Meet]:
    async with AsyncExitStack() as stack:

        async def met(reply: Callable[[str, str], Reply]) -> Met:
            stranger = await stack.enter_async_context(Stranger(reply).serving())
            gateway = LettaGateway(letta_client(stranger.url, None))
            stack.push_async_callback(gateway.close)
            return stranger, gateway

        yield met


async def failure_of(asking: Awaitable[object]) -> Failure:
    with pytest.raises(FailureError) as raised:
        await asking
    return raised.value.failure


def answering(status: int, headers: Mapping[str, str], body: bytes = b"") -> Callable[[str, str], Reply]:
    return lambda _method, _path: (status, headers, body)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
async def test_a_redirect_is_never_followed_whatever_is_asked(meet: Meet, status: int) -> None:
    elsewhere, _ = await meet(answering(200, JSON, b"[]"))
    letta, gateway = await meet(lambda _, path: (status, {"location": f"{elsewhere.url}{path}"}, b""))
    for ask in REQUESTS.values():
        failure = await failure_of(ask(gateway))
        assert (failure.code, failure.delivery) == (FailureCode.UPSTREAM_REDIRECT, Delivery.NO)
        assert f"set LETTA_BASE_URL (server.baseUrl) to {elsewhere.url}." in failure.sentence
    assert letta.asked.count("POST /v1/conversations/default/messages") == 1
    assert elsewhere.asked == []


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("https://letta.example/v1/agents/", "to https://letta.example."),
        ("https://letta.example/v1/agents", "to https://letta.example."),
        ("https://u:secret@letta.example:8443/letta/v1/agents/?token=secret#secret", "to https://u:secret@"),
        ("/letta/v1/agents/", "to {here}/letta."),
        ("//letta.example/v1/agents/", "to http://letta.example."),
        ("/v1/agents", "must pass on paths as they are"),
        ("/v1/agents/", "must pass on paths as they are"),
        ("/login?next=%2Fv1%2Fagents%2F&token=secret", "to the address at which Letta itself answers."),
        ("https://login.example/", "to the address at which Letta itself answers."),
        ("https://a.example/" + "x" * 5000, "..."),
        ("javascript:alert(1)", "no answer of Letta's"),
        ("http://[::1", "no answer of Letta's"),
        ("", "no answer of Letta's"),
        (None, "no answer of Letta's"),
    ],
)
async def test_the_error_names_where_to_and_what_to_set_but_no_secrets(
    meet: Meet, location: str | None, said: str
) -> None:
    letta, gateway = await meet(answering(302, {} if location is None else {"location": location}))
    failure = await failure_of(gateway.check())
    assert failure.code is FailureCode.UPSTREAM_REDIRECT
    assert said.format(here=letta.url).replace("u:secret@", "") in failure.sentence
    assert letta.url in failure.sentence
    assert "LETTA_BASE_URL" in failure.sentence or "must pass on paths" in failure.sentence
    assert "secret" not in failure.sentence + failure.cause
    assert len(failure.sentence) < 800


async def test_a_redirect_of_messages_only_is_named_too(meet: Meet) -> None:
    agent = json.dumps([{"id": AGENT.id, "name": "anna", "created_at": None}]).encode()

    def reply(method: str, path: str) -> Reply:
        return (200, JSON, agent) if method == "GET" else (307, {"location": f"https://letta.example{path}"}, b"")

    letta, gateway = await meet(reply)
    await gateway.check()
    failure = await failure_of(events_of(gateway, AGENT, "hello"))
    assert (failure.code, failure.delivery) == (FailureCode.UPSTREAM_REDIRECT, Delivery.NO)
    assert "set LETTA_BASE_URL (server.baseUrl) to https://letta.example." in failure.sentence
    assert letta.asked[1:] == ["POST /v1/conversations/default/messages"]


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (404, HTML, b"<html><center>nginx</center></html>"),
        (404, {"content-type": "text/plain"}, b"404 page not found\n"),
        (404, {}, b""),
        (404, JSON, b'{"detail":"Not Found"}'),
        (404, JSON, b'{"message":"no Route matched with those values"}'),
        (405, JSON, b'{"detail":"Method Not Allowed"}'),
        (405, HTML, PAGE),
        (401, JSON, b'{"error":{"message":"Incorrect API key","type":"invalid_request_error","code":null}}'),
        (400, HTML, b"<h1>The plain HTTP request was sent to HTTPS port</h1>"),
        (200, HTML, PAGE),
    ],
)
async def test_whoever_is_not_letta_is_called_so(
    meet: Meet, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    _, gateway = await meet(answering(status, headers, body))
    for ask in (REQUESTS["agents"], REQUESTS["check"], REQUESTS["find by name"], REQUESTS["find by id"]):
        failure = await failure_of(ask(gateway))
        assert failure.code is FailureCode.UPSTREAM_UNEXPECTED
    failure = await failure_of(events_of(gateway, AGENT, "hello"))
    assert (failure.code, failure.delivery) == (FailureCode.UPSTREAM_UNEXPECTED, Delivery.NO)
    assert "LETTA_BASE_URL" in failure.sentence


@pytest.mark.parametrize("body", [b'{"hello":"world"}', b"[1]", b"null", b"", PAGE, b'{"message_type":"ping"}'])
@pytest.mark.parametrize("headers", [JSON, {"content-type": "text/plain"}, {}])
async def test_a_message_that_is_answered_without_a_stream(meet: Meet, headers: Mapping[str, str], body: bytes) -> None:
    _, gateway = await meet(answering(200, headers, body))
    failure = await failure_of(events_of(gateway, AGENT, "hello"))
    assert (failure.code, failure.delivery) == (FailureCode.UPSTREAM_UNEXPECTED, Delivery.UNKNOWN)


async def test_a_stream_needs_no_name(meet: Meet) -> None:
    _, gateway = await meet(answering(200, {}, text("hi") + stop("end_turn")))
    assert (await events_of(gateway, AGENT, "hello"))[1] == Text("hi")


@pytest.mark.parametrize("body", [PAGE, b"", b'{"detail":"Not Found"}', b'{"message":"no Route matched"}'])
async def test_a_page_that_says_404_says_nothing_of_a_run(meet: Meet, body: bytes) -> None:
    _, gateway = await meet(answering(404, JSON, body))
    assert (await failure_of(gateway.record(TURN, "run-1"))).code is FailureCode.UPSTREAM_UNEXPECTED
    _, gateway = await meet(answering(404, JSON, b'{"detail":"NOT_FOUND: Run with id run-1 not found"}'))
    assert await gateway.record(TURN, "run-1") is None


@pytest.mark.parametrize("body", [b'{"object":"list","data":[]}', b'"hello"', b"[1]", b'[{"name":"x"}]', b"", b"\xff"])
async def test_json_of_somebody_else_is_no_list_of_agents(meet: Meet, body: bytes) -> None:
    _, gateway = await meet(answering(200, JSON, body))
    assert (await failure_of(gateway.check())).code is FailureCode.UPSTREAM_UNEXPECTED


async def test_what_does_not_speak_http_is_not_letta(meet: Meet) -> None:
    import asyncio

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    gateway = LettaGateway(letta_client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", None))
    assert (await failure_of(gateway.check())).code is FailureCode.UPSTREAM_UNEXPECTED
    await gateway.close()
    server.close()


@pytest.mark.parametrize("body", [b'{"detail":"Agent with ID agent-1 not found"}', b'{"message":"Agent not found"}'])
async def test_letta_s_own_word_that_an_agent_is_gone_stays_that(meet: Meet, body: bytes) -> None:
    _, gateway = await meet(answering(404, JSON, body))
    assert await gateway.find(AGENT.id) == []
    failure = await failure_of(events_of(gateway, AGENT, "hello"))
    assert (failure.code, failure.delivery) == (FailureCode.MODEL_NOT_FOUND, Delivery.NO)


async def test_a_language_model_that_letta_does_not_know_is_no_missing_agent(meet: Meet) -> None:
    body = b'{"detail":"NOT_FOUND: Handle openai/x not found, must be one of []"}'
    _, gateway = await meet(answering(404, JSON, body))
    assert (await failure_of(events_of(gateway, AGENT, "hello"))).code is FailureCode.AGENT_ERROR


@pytest.mark.parametrize(
    ("status", "body", "delivery"),
    [
        (402, b"", Delivery.NO),
        (402, b'{"reasons":["not-enough-credits"]}', Delivery.NO),
        (400, b'{"detail":"Insufficient credits to run this agent"}', Delivery.NO),
        (403, b'{"error":"insufficient_credits"}', Delivery.NO),
        (429, b'{"message":"You have insufficient credits"}', Delivery.NO),
        (500, b'{"detail":"INSUFFICIENT CREDITS"}', Delivery.UNKNOWN),
        (
            429,
            b'{"error":{"type":"llm_rate_limit","message":"x","detail":"code: insufficient_quota"}}',
            Delivery.UNKNOWN,
        ),
    ],
)
async def test_an_empty_account_is_named(meet: Meet, status: int, body: bytes, delivery: Delivery) -> None:
    _, gateway = await meet(answering(status, JSON, body))
    assert (await failure_of(gateway.check())).code is FailureCode.INSUFFICIENT_QUOTA
    failure = await failure_of(events_of(gateway, AGENT, "hello"))
    assert (failure.code, failure.delivery) == (FailureCode.INSUFFICIENT_QUOTA, delivery)


async def test_a_message_about_credits_that_is_quoted_is_no_empty_account(meet: Meet) -> None:
    body = json.dumps({"detail": [{"type": "missing", "input": "why insufficient credits?"}]}).encode()
    _, gateway = await meet(answering(422, JSON, body))
    assert (await failure_of(gateway.check())).code is not FailureCode.INSUFFICIENT_QUOTA


@pytest.mark.parametrize(
    ("recording", "code"),
    [
        ({"stop_reason": "insufficient_credits"}, FailureCode.INSUFFICIENT_QUOTA),
        ({"stop_reason": "error"}, FailureCode.AGENT_ERROR),
        ({"error_type": "llm_rate_limit", "detail": "code: insufficient_quota"}, FailureCode.INSUFFICIENT_QUOTA),
        ({"error_type": "internal_error", "message": "Insufficient credits"}, FailureCode.INSUFFICIENT_QUOTA),
        ({"error_type": "llm_rate_limit", "detail": {"odd": 1}}, FailureCode.LLM_RATE_LIMIT),
    ],
)
async def test_an_account_that_is_empty_is_named_in_a_stream_too(
    meet: Meet, recording: dict[str, str], code: FailureCode
) -> None:
    kind = "stop_reason" if "stop_reason" in recording else "error_message"
    events = [{"message_type": "ping", "run_id": "run-1"}, {"message_type": kind, **recording}]
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    _, gateway = await meet(answering(200, {"content-type": "text/event-stream"}, stream))
    assert (await failure_of(events_of(gateway, AGENT, "hello"))).code is code


async def test_a_request_that_is_too_large_for_a_proxy_is_named(meet: Meet) -> None:
    _, gateway = await meet(answering(413, HTML, b"<h1>413 Request Entity Too Large</h1>"))
    failure = await failure_of(events_of(gateway, AGENT, "hello"))
    assert (failure.code, failure.delivery) == (FailureCode.UPSTREAM_TOO_LARGE, Delivery.NO)


@pytest.mark.parametrize(
    ("said", "at_least", "at_most"),
    [
        ("7", 7, 7),
        ("1.2", 2, 2),
        (" 120 ", 120, 120),
        ("0", 1, 1),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 1, 1),
        ("9999999999999", 3600, 3600),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600, 3600),
        ("-5", 20, 20),
        ("nan", 20, 20),
        ("inf", 20, 20),
        ("soon", 20, 20),
        ("Fri, 99 Dec 2026 99:99:99 GMT", 20, 20),
        ("", 20, 20),
        (None, 20, 20),
    ],
)
async def test_a_rate_limit_of_letta_s_keeps_its_retry_after_within_reason(
    meet: Meet, said: str | None, at_least: int, at_most: int
) -> None:
    headers = {} if said is None else {"retry-after": said}
    _, gateway = await meet(answering(429, {**JSON, **headers}, b'{"detail":"Too many requests"}'))
    for asking in (gateway.check(), events_of(gateway, AGENT, "hello")):
        failure = await failure_of(asking)
        assert (failure.code, failure.delivery) == (FailureCode.BACKEND_RATE_LIMIT, Delivery.NO)
        assert failure.retry_after is not None
        assert at_least <= failure.retry_after <= at_most


async def test_a_date_to_retry_after_may_come_without_a_clock(meet: Meet) -> None:
    headers = {"retry-after": formatdate(time.time() + 100, usegmt=True)}
    _, gateway = await meet(answering(429, headers))
    wait = (await failure_of(gateway.check())).retry_after
    assert wait is not None
    assert 40 <= wait <= 101


async def test_a_date_to_retry_after_is_counted_by_the_clock_that_showed_it(meet: Meet) -> None:
    headers = {"date": "Mon, 05 Jan 2026 10:00:00 GMT", "retry-after": "Mon, 05 Jan 2026 10:00:30 GMT"}
    _, gateway = await meet(answering(429, headers))
    assert (await failure_of(gateway.check())).retry_after == 30


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520])
async def test_a_page_of_a_proxy_whose_letta_is_away_leaves_the_delivery_open(meet: Meet, status: int) -> None:
    _, gateway = await meet(answering(status, HTML, PAGE))
    assert (await failure_of(gateway.check())).code is FailureCode.BACKEND_UNAVAILABLE
    failure = await failure_of(events_of(gateway, AGENT, "hello"))
    assert (failure.code, failure.delivery) == (FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN)


@pytest.mark.parametrize(("status", "said"), [(401, "a login"), (403, "a login"), (407, "HTTP_PROXY")])
async def test_a_login_that_is_not_letta_s_is_told_apart(meet: Meet, status: int, said: str) -> None:
    _, gateway = await meet(answering(status, HTML, PAGE))
    failure = await failure_of(gateway.check())
    assert failure.code is FailureCode.UPSTREAM_AUTHENTICATION
    assert said in failure.sentence
