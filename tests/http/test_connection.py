"""What goes over one connection: which bytes are which request, which are refused, and which protocol is spoken."""

from collections.abc import AsyncIterator
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.http.raw import Client, Place, come_true, noting_server

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The loop of the service, where there is one: transports are its own."""
    return "asyncio", {"use_uvloop": find_spec("uvloop") is not None}


HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
# A body that would be a request, if it were taken for one.
BODY = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
AS_CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)

JAVA = (
    b"POST /v1/chat/completions HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\n%bHost: 127.0.0.1:8080\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\n%bUpgrade: h2c\r\n"
    b"User-Agent: Java-http-client/17.0.15\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\n\r\n"
)
CURL = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
    b"%b%bContent-Type: application/json\r\n\r\n"
)
BROWSER = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%b%b\r\n"
)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with noting_server() as place:
        yield place


@pytest.fixture
async def client(place: Place) -> Client:
    return await place.connect()


# Offers to change the protocol


@pytest.mark.parametrize("offer", [JAVA, CURL, BROWSER], ids=["java", "curl", "browser"])
@pytest.mark.parametrize("late", [False, True], ids=["with the head", "later"])
@pytest.mark.parametrize("framing", [(LENGTH, b"", BODY), (b"", CHUNKED, AS_CHUNKS)], ids=["length", "chunks"])
async def test_an_offer_to_upgrade_costs_no_body(
    place: Place, client: Client, offer: bytes, late: bool, framing: tuple[bytes, bytes, bytes]
) -> None:
    *fields, body = framing
    head = offer % tuple(fields)
    for number in (1, 2):
        answer = await (client.ask(head, body) if late else client.ask(head + body))
        assert (answer.status, answer.body) == (200, str(number).encode())
    assert (await client.ask(NEXT)).body == b"3"
    assert [(asked.path, asked.body) for asked in place.app.asked] == [
        *[("/v1/chat/completions", BODY)] * 2,
        ("/next", b""),
    ]
    assert place.app.asked[0].headers["upgrade"] in ("h2c", "websocket")


async def test_an_offer_to_upgrade_may_have_no_body(place: Place, client: Client) -> None:
    offer = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert (await client.ask(offer)).body == b"1"
    # All that stands in one segment.
    await client.send(NEXT + offer + offer + HEAD + LENGTH + b"\r\n" + BODY + offer)
    assert [(await client.answer()).body for _ in range(5)] == [b"2", b"3", b"4", b"5", b"6"]
    assert [asked.path for asked in place.app.asked] == ["/x", "/next", "/x", "/x", "/x", "/x"]
    assert place.app.asked[4].body == BODY


async def test_an_offer_to_upgrade_may_close_the_connection(client: Client) -> None:
    offer = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert (await client.ask(offer)).headers["connection"] == "close"
    assert await client.is_closed()


@given(st.data())
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_requests_are_the_same_however_they_are_cut(place: Place, data: st.DataObject) -> None:
    parts = [
        JAVA % (LENGTH, b"") + BODY,
        NEXT,
        HEAD + CHUNKED + b"\r\n" + AS_CHUNKS,
        JAVA % (b"", CHUNKED) + AS_CHUNKS,
        HEAD + LENGTH + b"\r\n" + BODY,
    ]
    whole = b"".join(data.draw(st.permutations(parts)))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=6)))
    place.app.asked.clear()
    client = await place.connect()
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        await client.send(whole[start:end])
    assert [(await client.answer()).body for _ in parts] == [b"1", b"2", b"3", b"4", b"5"]
    assert sorted(asked.body for asked in place.app.asked) == [b"", *[BODY] * 4]
    client.hang_up()


# What two servers could read differently

TWO_READINGS = {
    "length and chunks": LENGTH + CHUNKED,
    "chunks and length": CHUNKED + LENGTH,
    "chunks twice": CHUNKED + CHUNKED,
    "chunks in chunks": b"Transfer-Encoding: chunked, chunked\r\n",
    "chunks of something else": b"Transfer-Encoding: gzip, chunked\r\n",
    "something else": b"Transfer-Encoding: identity\r\n",
    "almost chunks": b"Transfer-Encoding: xchunked\r\n",
    "chunks with a parameter": b"Transfer-Encoding: chunked;q=1\r\n",
    "chunks after a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
    "no coding": b"Transfer-Encoding:\r\n",
    "chunks on another line": b"Transfer-Encoding:\r\n chunked\r\n",
    "length twice": LENGTH + LENGTH,
    "two lengths": LENGTH + b"Content-Length: 3\r\n",
    "a list of lengths": b"Content-Length: 3, 3\r\n",
    "a sign": b"Content-Length: +3\r\n",
    "a minus": b"Content-Length: -3\r\n",
    "hexadecimal": b"Content-Length: 0x3\r\n",
    "an underscore": b"Content-Length: 1_0\r\n",
    "a blank in a length": b"Content-Length: 1 0\r\n",
    "no length": b"Content-Length:\r\n",
    "more than a length can be": b"Content-Length: 99999999999999999999\r\n",
    "a folded line": b"X-One: a\r\n b\r\n" + LENGTH,
    "a folded length": b"Content-Length: 1\r\n 0\r\n",
    "a blank before the colon": b"Content-Length : 3\r\n",
    "a blank in a name": b"Content Length: 3\r\n",
    "a blank before a name": b" Content-Length: 3\r\n",
    "no colon": b"Content-Length\r\n",
    "no name": b": 3\r\n",
    "a zero byte": b"X-One: a\0b\r\n",
    "a zero byte in a name": b"X\0One: a\r\n",
    "a bare carriage return": b"X-One: a\rX-Two: b\r\n",
    "a bare line feed": b"X-One: a\nX-Two: b\r\n",
    "two hosts": b"Host: b\r\n",
}
BAD_CHUNKS = {
    "hexadecimal": b"0x3\r\nabc\r\n0\r\n\r\n",
    "a sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "a blank": b"3 \r\nabc\r\n0\r\n\r\n",
    "line feeds": b"3\nabc\n0\n\n",
    "a line feed in an extension": b"3;a\nabc\r\n0\r\n\r\n",
    "a longer chunk": b"3\r\nabcd\r\n0\r\n\r\n",
    "more than a size can be": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "a length in the trailer": b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
}


@pytest.mark.parametrize("upgrade", [b"", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"], ids=["", "with an upgrade"])
@pytest.mark.parametrize("fields", TWO_READINGS.values(), ids=TWO_READINGS)
async def test_a_head_with_two_readings_is_refused(place: Place, client: Client, fields: bytes, upgrade: bytes) -> None:
    answer = await client.ask(HEAD + upgrade + fields + b"\r\n" + AS_CHUNKS + NEXT)
    assert answer.status == 400
    assert answer.error["code"] == "invalid_http"
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-request-id"].startswith("req_")
    assert await client.is_closed()
    assert place.app.asked == []


@pytest.mark.parametrize("upgrade", [b"", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"], ids=["", "with an upgrade"])
@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
async def test_chunks_with_two_readings_are_refused(
    place: Place, client: Client, chunks: bytes, upgrade: bytes
) -> None:
    answer = await client.ask(HEAD + upgrade + CHUNKED + b"\r\n", chunks + NEXT)
    assert answer.status == 400
    assert await client.is_closed()
    assert place.app.asked == []
    await come_true(lambda: place.app.gone == ["/x"])


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /x HTTP/1.0\r\n" + CHUNKED, 400),
        (b"GET /x HTTP/2.0\r\n", 505),
        (b"GET /x HTTP/0.9\r\n", 505),
        (b"GET /x HTTP/1.2\r\n", 400),
        (b"GET /x\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n", 400),
        (b"CONNECT other:80 HTTP/1.1\r\nHost: other:80\r\n", 400),
        (b"get /x HTTP/1.1\r\n", 400),
        (b"GET /\xc3\xa9 HTTP/1.1\r\n", 400),
        (b"GET x HTTP/1.1\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
async def test_what_is_not_http_1_is_refused(place: Place, client: Client, head: bytes, status: int) -> None:
    answer = await client.ask(head + b"\r\n" + NEXT)
    assert (answer.status, answer.error["code"]) == (status, "invalid_http")
    assert await client.is_closed()
    assert place.app.asked == []


async def test_trailers_are_no_headers(place: Place, client: Client) -> None:
    await client.ask(HEAD + CHUNKED + b"\r\n3;ext=1\r\nabc\r\n0\r\nAuthorization: Bearer k\r\nX-Chat-Id: c\r\n\r\n")
    assert (await client.ask(NEXT)).body == b"2"
    first, second = place.app.asked
    assert first.body == b"abc"
    assert first.headers.keys() == {"host", "transfer-encoding"}
    assert second.headers.keys() == {"host"}


# Requests behind each other


async def test_what_stands_before_a_refused_request_is_answered(place: Place, client: Client) -> None:
    await client.send(NEXT + b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + NEXT + b"nonsense\r\n\r\n")
    assert (await client.answer()).body == b"1"
    await come_true(lambda: len(place.app.asked) == 2)
    place.app.let_go.set()
    assert [(await client.answer()).body for _ in range(2)] == [b"2", b"3"]
    assert await client.is_closed()


async def test_a_broken_body_behind_another_request_is_dropped(place: Place, client: Client) -> None:
    await client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + HEAD + CHUNKED + b"\r\nzz\r\n")
    await come_true(lambda: len(place.app.asked) == 1)
    place.app.let_go.set()
    assert (await client.answer()).body == b"1"
    assert await client.is_closed()
    assert len(place.app.asked) == 1


async def test_only_so_many_requests_wait_on_one_connection(place: Place, client: Client) -> None:
    await client.send(NEXT * 1000)
    answers = 0
    while (answer := await client.answer()).headers.get("connection") != "close":
        answers += answer.status == 200
    assert answers < 100
    assert await client.is_closed()
    assert len(place.app.asked) == answers + 1


async def test_a_hang_up_is_noticed_behind_another_request(place: Place, client: Client) -> None:
    await client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + NEXT)
    await come_true(lambda: len(place.app.asked) == 1)
    client.hang_up()
    await come_true(lambda: place.app.gone == ["/slow"])
    assert len(place.app.asked) == 1


# HTTP/1.0, and leave to send a body


@pytest.mark.parametrize("fields", [b"", b"Connection: keep-alive\r\n", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"])
async def test_http_1_0_gets_no_chunks(place: Place, client: Client, fields: bytes) -> None:
    answer = await client.ask(b"GET /stream HTTP/1.0\r\n" + fields + b"\r\n")
    assert answer.body == b"one two three"
    assert not answer.headers.keys() & {"transfer-encoding", "content-length"}
    assert answer.headers["connection"] == "close"
    another = await place.connect()
    answer = await another.ask(b"POST /x HTTP/1.0\r\n" + LENGTH + fields + b"\r\n" + BODY)
    assert (answer.body, answer.headers["content-length"]) == (b"2", "1")
    assert await another.is_closed()
    assert place.app.asked[-1].body == BODY


async def test_http_1_1_gets_chunks(client: Client) -> None:
    answer = await client.ask(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (answer.body, answer.headers["transfer-encoding"]) == (b"one two three", "chunked")


async def test_leave_to_send_a_body_is_given_when_it_is_wanted(place: Place, client: Client) -> None:
    for _ in range(2):
        assert (await client.ask(HEAD + LENGTH + b"Expect: 100-continue\r\n\r\n")).status == 100
        assert (await client.ask(BODY)).status == 200
    assert place.app.asked[-1].body == BODY


async def test_who_gets_an_answer_instead_of_leave_begins_anew(client: Client) -> None:
    early = b"POST /early HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" + LENGTH + b"\r\n"
    answer = await client.ask(early)
    assert (answer.body, answer.headers["connection"]) == (b"early", "close")


async def test_blanks_around_values_do_not_matter(place: Place, client: Client) -> None:
    head = HEAD + b"Transfer-Encoding:  chunked  \r\nX-One:  a b \t\r\nExpect: 100-continue \r\n\r\n"
    assert (await client.ask(head)).status == 100
    assert (await client.ask(AS_CHUNKS)).status == 200
    assert place.app.asked[-1].body == BODY
    assert place.app.asked[-1].headers["x-one"] == "a b"


async def test_no_leave_is_given_to_who_is_refused(
    place: Place, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    head = HEAD + CHUNKED + b"Expect: 100-continue\r\n\r\n"
    assert (await client.ask(head + b"zz\r\n")).status == 400
    assert await client.is_closed()
    await come_true(lambda: place.app.gone == ["/x"])
    assert caplog.records == []


async def test_http_1_0_knows_no_leave(place: Place, client: Client) -> None:
    answer = await client.ask(b"POST /x HTTP/1.0\r\nExpect: 100-continue\r\n" + LENGTH + b"\r\n", BODY)
    assert answer.status == 200
    assert place.app.asked[-1].body == BODY
