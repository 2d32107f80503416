"""How much a client may send, and how long it may take, before anybody knows who it is."""

import asyncio
from collections.abc import AsyncIterator
from importlib.util import find_spec

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from domain.model.events import Accepted
from entrypoints.http.connection.limits import Limits
from tests.fakes.gateway import FakeGateway
from tests.http.conftest import Start, question
from tests.http.raw import Client, Place, come_true, noting_server

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The loop of the service, where there is one: transports are its own."""
    return "asyncio", {"use_uvloop": find_spec("uvloop") is not None}


HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
SHORT = Limits(head=0.4, next=0.4, rest=0.4, reader=0.4)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with noting_server() as place:
        yield place


@pytest.fixture
async def hasty() -> AsyncIterator[Place]:
    """A server that waits for nobody."""
    async with noting_server(SHORT) as place:
        yield place


@pytest.fixture
async def impatient() -> AsyncIterator[Place]:
    """One that waits for no head, but keeps connections."""
    async with noting_server(Limits(head=0.4)) as place:
        yield place


@pytest.fixture
async def client(place: Place) -> Client:
    return await place.connect()


# Bytes

TOO_LARGE = {
    "a long URL": [b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"],
    "a long query": [b"GET /x?" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"],
    "a long value": [HEAD + b"X-One: " + b"x" * 70_000 + b"\r\n\r\n"],
    "a long name": [HEAD + b"x" * 70_000 + b": one\r\n\r\n"],
    "a value without an end": [HEAD + b"X-One: " + b"x" * 70_000],
    "in pieces": [HEAD, *[b"X-One: " + b"x" * 10_000 + b"\r\n"] * 7],
    "a value in pieces": [HEAD + b"X-One: ", *[b"x" * 10_000] * 7],
    "many headers": [HEAD + b"".join(b"X-%d: 1\r\n" % number for number in range(1000)) + b"\r\n"],
    "many headers without an end": [HEAD + b"a:\r\n" * 300],
    "nothing but line ends": [b"\r\n" * 35_000],
    "behind another request": [GET + HEAD + b"X-One: " + b"x" * 70_000 + b"\r\n\r\n"],
}
TOO_MUCH_AROUND = {
    "extensions": [b"1;" + b"x" * 40_000 + b"\r\nA\r\n"] * 3,
    "an extension without an end": [b"1;" + b"x" * 70_000],
    "zeros": [b"0" * 70_000],
    "trailers": [b"0\r\n", *[b"X-One: " + b"x" * 10_000 + b"\r\n"] * 8],
}


@pytest.mark.parametrize("parts", TOO_LARGE.values(), ids=TOO_LARGE)
async def test_a_head_has_64_kb(client: Client, parts: list[bytes]) -> None:
    answer = await client.ask(*parts)
    if answer.status == 200:
        assert await client.is_closed()
        return
    assert (answer.status, answer.error["code"]) == (431, "request_head_too_large")
    assert answer.headers["x-should-retry"] == "false"
    assert "65,536 bytes" in answer.error["message"]
    assert await client.is_closed()


@pytest.mark.parametrize("parts", TOO_MUCH_AROUND.values(), ids=TOO_MUCH_AROUND)
async def test_so_has_what_surrounds_a_body(place: Place, client: Client, parts: list[bytes]) -> None:
    answer = await client.ask(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *parts)
    assert answer.status == 431
    assert await client.is_closed()
    assert place.app.asked == []


async def test_what_is_large_but_not_too_large_is_answered(place: Place, client: Client) -> None:
    for parts in (
        [HEAD + b"X-One: " + b"x" * 60_000 + b"\r\n\r\n"],
        [HEAD + b"X-One: ", *[b"x" * 10_000] * 6, b"\r\n\r\n"],
    ):
        for _ in range(2):
            assert (await client.ask(*parts)).status == 200
    small = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nA\r\n" * 30_000 + b"0\r\n\r\n"
    assert (await client.ask(small)).status == 200
    assert place.app.asked[-1].body == b"A" * 30_000


async def test_many_chunks_are_handed_over_at_once(
    place: Place, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[int] = []
    hand_over = HttpToolsProtocol.on_body

    def counted(self: HttpToolsProtocol, body: bytes) -> None:
        parts.append(len(body))
        hand_over(self, body)

    monkeypatch.setattr(HttpToolsProtocol, "on_body", counted)
    answer = await client.ask(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nA\r\n" * 30_000 + b"0\r\n\r\n")
    assert answer.status == 200
    assert place.app.asked[0].body == b"A" * 30_000
    assert (sum(parts), len(parts) < 300) == (30_000, True)


async def test_a_head_has_64_kb_wherever_it_begins(client: Client) -> None:
    begin = b"GET /next HTTP/1.1\r\nHost: a\r\nX-One: "
    for begun in (b"", GET):
        answers = 2 if begun else 1
        head = begin + b"x" * (65_536 - len(begin) - 4) + b"\r\n\r\n"
        await client.send(begun + head)
        assert [(await client.answer()).status for _ in range(answers)] == [200] * answers
        await client.send(begun + head[:-3], head[-3:])
        assert [(await client.answer()).status for _ in range(answers)] == [200] * answers
    await client.send(GET + begin + b"x" * 70_000, b"\r\n\r\n")
    assert [(await client.answer()).status for _ in range(2)] == [200, 431]


async def test_who_sends_on_can_read_why_it_is_refused(client: Client) -> None:
    await client.send(HEAD)
    async with asyncio.timeout(20):
        for _ in range(200):
            await client.send(b"X-One: " + b"x" * 100_000 + b"\r\n")
    assert (await client.answer()).status == 431


async def test_who_is_answered_early_can_send_on(client: Client) -> None:
    for _ in range(2):
        await client.send(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n", bytes(10_000_000))
        assert (await client.answer()).body == b"early"
    close = b"POST /early HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 10000000\r\n\r\n"
    await client.send(close, bytes(10_000_000))
    assert (await client.answer()).body == b"early"
    assert await client.is_closed()


# Time


async def test_who_says_nothing_is_not_waited_for(hasty: Place) -> None:
    assert await (await hasty.connect()).is_closed()


@pytest.mark.parametrize(
    "begun", [HEAD, b"\r\n\r\nGET", b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"]
)
async def test_a_head_that_does_not_end_is_not_waited_for(hasty: Place, begun: bytes) -> None:
    client = await hasty.connect()
    answer = await client.ask(begun)
    assert (answer.status, answer.error["code"]) == (408, "request_timeout")
    assert answer.headers["x-should-retry"] == "true"
    assert await client.is_closed()


async def test_a_head_that_comes_byte_by_byte_is_not_waited_for(impatient: Place) -> None:
    client = await impatient.connect()
    assert (await client.ask(GET)).status == 200

    async def drip() -> None:
        for byte in HEAD * 100:
            await client.send(bytes([byte]))
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    assert (await client.answer()).status == 408
    dripping.cancel()


async def test_line_ends_are_no_sign_of_life(impatient: Place) -> None:
    client = await impatient.connect()

    async def drip() -> None:
        while True:
            await client.send(b"\r\n")
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    assert await client.is_closed()
    dripping.cancel()


async def test_a_connection_is_not_kept_for_ever(hasty: Place) -> None:
    client = await hasty.connect()
    assert (await client.ask(GET)).status == 200
    assert await client.is_closed()


async def test_a_body_that_nobody_reads_any_more_is_not_waited_for(hasty: Place) -> None:
    client = await hasty.connect()
    answer = await client.ask(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc")
    assert answer.body == b"early"
    assert await client.is_closed()


async def test_an_answer_is_waited_for_as_long_as_it_takes(hasty: Place) -> None:
    client = await hasty.connect()
    await client.send(SLOW)
    await asyncio.sleep(1.0)
    hasty.app.let_go.set()
    assert (await client.answer()).status == 200


async def test_who_never_reads_its_answer_is_not_waited_for(hasty: Place) -> None:
    client = await hasty.connect()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    await come_true(lambda: hasty.app.asked)
    await come_true(lambda: not hasty.server.server_state.connections)


async def test_who_reads_its_answer_slowly_gets_all_of_it() -> None:
    async with noting_server(Limits(reader=1.0)) as place:
        client = await place.connect()
        await client.send(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = 0
        async with asyncio.timeout(20):
            while data := await client.reader.read(500_000):
                received += len(data)
                await asyncio.sleep(0.05)
        assert received > 10_000_000


# MemoryBudget


async def test_who_waits_for_nothing_makes_way(place: Place) -> None:
    async with noting_server(Limits(files=10)) as small:
        idle = [await small.connect() for _ in range(8)]
        for client in idle:
            assert (await client.ask(GET)).status == 200
        for _ in range(20):
            assert (await (await small.connect()).ask(GET)).status == 200
        assert await idle[0].is_closed()


async def test_who_has_not_asked_makes_way() -> None:
    async with noting_server(Limits(files=10)) as small:
        silent = [await small.connect() for _ in range(100)]
        for _ in range(5):
            client = await small.connect()
            assert (await client.ask(GET)).status == 200
        assert len(small.server.server_state.connections) < 40
        assert await silent[0].is_closed()


async def test_who_makes_way_may_read_its_answer() -> None:
    async with noting_server(Limits(files=4)) as small:
        kept = await small.connect()
        await kept.send(b"GET /huge HTTP/1.1\r\nHost: a\r\n\r\n")
        await come_true(lambda: len(small.app.asked) == 1)
        for _ in range(10):
            assert (await (await small.connect()).ask(GET)).status == 200
        assert len((await kept.answer()).body) == 20_000_000


async def test_who_reads_nothing_makes_way_for_others_in_the_end() -> None:
    async with noting_server(Limits(files=10, reader_at_least=0.2)) as small:
        for path in (b"/large", b"/huge"):
            for _ in range(30):
                client = await small.connect()
                client.writer.transport.pause_reading()  # type: ignore[attr-defined]
                await client.send((b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n") * 2)
        async with asyncio.timeout(20):
            while True:
                another = await small.connect()
                try:
                    answer = await another.ask(GET)
                except (EOFError, ConnectionResetError):
                    continue
                if answer.headers.get("connection") != "close":
                    break
                await asyncio.sleep(0.05)
        assert len(small.server.server_state.connections) < 20


async def test_who_is_being_answered_makes_no_way() -> None:
    async with noting_server(Limits(files=10)) as small:
        busy = [await small.connect() for _ in range(5)]
        for client in busy:
            await client.send(SLOW)
        await come_true(lambda: len(small.app.asked) == 5)
        for _ in range(60):
            await small.connect()
        small.app.let_go.set()
        assert [(await client.answer()).status for client in busy] == [200] * 5


async def test_who_comes_when_there_is_no_room_is_told_so_but_learns_that_the_service_lives(start: Start) -> None:
    busy = await start(FakeGateway(answers={"slow": [Accepted("run-1"), 600.0]}), limits=Limits(files=2))
    async with busy.client.stream("POST", "/v1/chat/completions", json=question("slow", stream=True)) as stream:
        assert stream.status_code == 200
        for path in ("/health", "/health/ready", "/"):
            assert (await busy.client.get(path)).status_code == 200
        answer = await busy.client.get("/v1/models", headers={"X-Request-Id": "of-this-test"})
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "too_many_connections"
        assert "Nothing was delivered" in answer.json()["error"]["message"]
        assert answer.headers["x-should-retry"] == "true"
        assert answer.headers["x-request-id"] == "of-this-test"
        assert int(answer.headers["retry-after"]) > 0
        assert answer.headers["connection"] == "close"
    # The stream has ended, or does so in a moment.
    await come_true(lambda: len(busy.server.server_state.connections) < 2)
    assert (await busy.client.get("/v1/models")).status_code == 200


# The end


UNFINISHED = {
    "nothing": b"",
    "half a head": HEAD,
    "half a body": HEAD + b"Content-Length: 1000\r\n\r\nabc",
    "half a body behind an offer": HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 9\r\n\r\nabc",
    "half a body that nobody reads": b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc",
    "a head that waits for leave": HEAD + b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n",
    "a request that is answered": GET,
}


@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED)
async def test_what_is_not_whole_is_dropped_when_the_server_stops(sent: bytes) -> None:
    async with noting_server(grace=600) as place:
        client = await place.connect()
        await client.send(sent)
        await asyncio.sleep(0.05)
        place.server.should_exit = True
        await come_true(lambda: not place.server.server_state.connections)
        if sent.endswith(b"abc") and b"early" not in sent:
            answer = await client.answer()
            assert (answer.status, answer.error["code"]) == (503, "shutting_down")
            assert place.app.gone == ["/x"]


@pytest.mark.parametrize("asked", [b"GET /large", b"GET /huge"])
async def test_who_takes_nothing_of_its_answer_does_not_hold_up_the_end(asked: bytes) -> None:
    async with noting_server(Limits(reader_at_least=0.3), grace=600) as place:
        client = await place.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send((asked + b" HTTP/1.1\r\nHost: a\r\n\r\n") * 2)
        await come_true(lambda: place.app.asked)
        place.server.should_exit = True
        await come_true(lambda: not place.server.server_state.connections)


async def test_what_is_whole_is_answered_when_the_server_stops() -> None:
    async with noting_server(grace=600) as place:
        client = await place.connect()
        await client.send(SLOW + GET + HEAD + b"Content-Length: 1000\r\n\r\nabc")
        await come_true(lambda: len(place.app.asked) == 1)
        place.server.should_exit = True
        await asyncio.sleep(0.2)
        place.app.let_go.set()
        assert [(await client.answer()).body for _ in range(2)] == [b"1", b"2"]
        await come_true(lambda: not place.server.server_state.connections)
        assert await client.is_closed()
