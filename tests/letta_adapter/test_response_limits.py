"""Nothing that Letta answers, or whatever answers in its place, is read without an end."""

import asyncio
import gzip
import itertools
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from adapters.letta import response_limits
from adapters.letta.client import letta_client
from adapters.letta.gateway import LettaGateway
from domain.model.agent import Agent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, FailureError
from domain.model.turn import Turn, UserMessage
from ports.contract.samples import events_of, text_of
from tests.letta_adapter.replay import agent, recording

pytestmark = pytest.mark.anyio

AGENT = Agent("agent-00000000-0000-4000-8000-000000000000", "name 0", 0)
ODD = [
    {**agent(0, "odd"), "created_at": ""},
    {**agent(0, "odd"), "created_at": "0001-01-01T00:00:00"},
    {**agent(0, "odd"), "created_at": 5},
    {**agent(0, "odd"), "name": 5},
    {**agent(0, "odd"), "name": "x" * 1000},
    {"id": agent(0, "odd")["id"]},
]
Pieces = Iterable[bytes]


@asynccontextmanager
async def answering(answer: Callable[[str], tuple[str, Pieces]]) -> AsyncIterator[LettaGateway]:
    """A gateway before a server that answers a target with a head and pieces of a body, as long as somebody reads."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            head, pieces = answer(request.split(" ")[1])
            writer.write(f"HTTP/1.1 {head}\r\nconnection: close\r\n\r\n".encode())
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    gateway = LettaGateway(letta_client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", None))
    try:
        yield gateway
    finally:
        await gateway.close()
        server.close()


def whole(value: object) -> tuple[str, Pieces]:
    return "200 OK", [json.dumps(value).encode()]


async def failure_of(gateway: LettaGateway) -> FailureCode:
    with pytest.raises(FailureError) as raised:
        await gateway.agents()
    return raised.value.failure.code


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
async def test_an_odd_agent_is_offered_last_and_hides_no_other(odd: dict[str, object]) -> None:
    def answer(target: str) -> tuple[str, Pieces]:
        return whole([] if "after" in target else [odd, agent(1, "one"), agent(2, "two")])

    async with answering(answer) as gateway:
        ids = [each.id for each in await gateway.agents()]
    assert set(ids) == {agent(number, "")["id"] for number in range(3)}
    assert odd.get("created_at") or ids[-1] == odd["id"]


NO_AGENTS = [b"5", b"null", b"{}", b'{"id": 5}', b'{"id": ""}', b"[" * 9999 + b"]" * 9999]


@pytest.mark.parametrize("odd", NO_AGENTS)
async def test_what_is_no_agent_is_passed_over(odd: bytes, caplog: pytest.LogCaptureFixture) -> None:
    listed = [json.dumps(agent(number, f"name {number}")).encode() for number in range(2)]

    def answer(target: str) -> tuple[str, Pieces]:
        page = b"[]" if "after" in target else b"[" + b",".join([listed[0], odd, listed[1]]) + b"]"
        return "200 OK", [page]

    async with answering(answer) as gateway:
        assert [each.name for each in await gateway.agents()] == ["name 0", "name 1"]
    assert "1 of Letta's agents cannot be read" in caplog.text


@pytest.mark.parametrize("odd", NO_AGENTS)
async def test_what_is_no_agent_may_be_all_of_the_last_page(odd: bytes) -> None:
    # Letta goes on behind the last agent that could be read.
    listed = json.dumps(agent(0, "name 0")).encode()

    def answer(target: str) -> tuple[str, Pieces]:
        return "200 OK", [b"[" + odd + b"]" if "after" in target else b"[" + listed + b"," + odd + b"]"]

    async with answering(answer) as gateway:
        assert [each.name for each in await gateway.agents()] == ["name 0"]


async def test_an_odd_agent_alone_does_not_make_a_stranger_of_letta() -> None:
    def answer(target: str) -> tuple[str, Pieces]:
        return whole([{"id": None}] if "limit=1&" in f"{target}&" else [{"id": None}, agent(0, "name 0")])

    async with answering(answer) as gateway:
        await gateway.check()


async def test_half_a_pair_of_surrogates_in_a_name() -> None:
    async with answering(lambda target: whole([] if "after" in target else [agent(0, "a \ud83d")])) as gateway:
        assert [each.name for each in await gateway.agents()] == ["a \ufffd"]
        assert (await gateway.find("a"))[0].name.encode()


async def test_a_list_without_an_end_is_cut(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("adapters.letta.agent_directory.MOST_AGENTS", 500)
    pages = itertools.count()
    async with answering(lambda _: whole([agent(100 * next(pages) + n, "x") for n in range(100)])) as gateway:
        assert len(await gateway.agents()) == 500
    assert "has no end" in caplog.text


async def test_a_list_that_takes_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.letta.agent_directory.LIST_WITHIN", 0.3)
    pages = itertools.count()
    async with answering(lambda _: whole([agent(next(pages), "x")])) as gateway:
        assert await failure_of(gateway) is FailureCode.BACKEND_UNAVAILABLE


async def test_an_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.letta.client.ANSWER_WITHIN", 0.3)
    async with answering(lambda _: ("200 OK", itertools.repeat(b" "))) as gateway:
        for question in (
            gateway.agents(),
            gateway.find("x"),
            gateway.find(AGENT.id),
            gateway.record(Turn(AGENT, UserMessage("x")), "run-1"),
            gateway.find_run(Turn(AGENT, UserMessage("x"), delivery_id="d")),
            gateway.approvals(Turn(AGENT, UserMessage("x"))),
            gateway.open_conversation(AGENT),
        ):
            with pytest.raises(FailureError):
                await question


def packed_without_end() -> Pieces:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    yield packer.compress(b"[")
    while True:
        yield packer.compress(b" " * 1_000_000) + packer.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize(
    ("head", "pieces"),
    [
        ("200 OK", lambda: itertools.repeat(b" " * 10_000)),
        ("200 OK\r\ncontent-encoding: gzip", packed_without_end),
        ("200 OK\r\ncontent-encoding: br", lambda: [b"[]"]),
        ("200 OK\r\ncontent-encoding: gzip", lambda: [b"[]"]),
    ],
    ids=["plain", "packed", "not asked for", "not packed"],
)
async def test_an_answer_that_is_too_long_or_cannot_be_unpacked(
    head: str, pieces: Callable[[], Pieces], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response_limits, "LONGEST_ANSWER", 3_000_000)
    async with answering(lambda _: (head, pieces())) as gateway:
        assert await failure_of(gateway) is FailureCode.BACKEND_UNAVAILABLE


@pytest.mark.parametrize("status", ["401 X", "404 X", "500 X"])
async def test_of_an_error_without_an_end_only_the_beginning_is_read(status: str) -> None:
    async with answering(lambda _: (status, itertools.repeat(b"x" * 10_000))) as gateway:
        with pytest.raises(FailureError):
            await gateway.agents()
        with pytest.raises(FailureError) as raised:
            await events_of(gateway, AGENT, "hello")
    assert (raised.value.failure.delivery is Delivery.UNKNOWN) == status.startswith("5")


async def test_packed_answers_are_unpacked() -> None:
    listed = gzip.compress(json.dumps([agent(0, "name 0")]).encode())
    stream = gzip.compress(recording("text"))

    def answer(target: str) -> tuple[str, Pieces]:
        if urlsplit(target).path.endswith("/messages"):
            kind = "content-type: text/event-stream"
            return f"200 OK\r\n{kind}\r\ncontent-encoding: gzip", [stream[:100], stream[100:]]
        return "200 OK\r\ncontent-encoding: gzip", [listed[:10], listed[10:]]

    async with answering(answer) as gateway:
        assert [each.name for each in await gateway.agents()] == ["name 0"]
        assert text_of(await events_of(gateway, AGENT, "hello")) == "Hello from the stub model ."
