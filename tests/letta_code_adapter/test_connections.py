"""In which order the App Server is spoken to: after a loss, a message that was interrupted must not begin again."""

import asyncio
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from adapters.letta_code.gateway import LettaCodeGateway
from domain.model.agent import Agent
from domain.model.events import Accepted, Ended, Text
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, FailureError
from domain.model.turn import ImageLink, Turn, UserMessage
from ports.contract.samples import events_of_turn

pytestmark = pytest.mark.anyio

AGENT = Agent("agent-local-1", "memo", 0)


class FakeAppServer:
    """Answers as the real one does, as far as it goes; `said` is what it was told, with the number of the socket."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.inputs: list[dict[str, Any]] = []
        self.queue: list[dict[str, Any]] = []
        self.sockets: list[ServerConnection] = []
        self.status = HTTPStatus.OK
        self.opened = 0
        self.server: Server | None = None

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"ws://127.0.0.1:{next(iter(self.server.sockets)).getsockname()[1]}"

    def answer_head(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.status is HTTPStatus.OK:
            return None
        self.said.append("refused")
        refusal = connection.respond(self.status, "")
        refusal.headers["Location"] = "/elsewhere"
        return refusal

    async def talk(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        self.opened += 1
        number = self.opened
        self.said.append(f"{number} opened")
        async for raw in socket:
            frame = json.loads(raw)
            self.said.append(f"{number} {frame['type']}")
            await self._answer(socket, frame)

    async def _answer(self, socket: ServerConnection, frame: dict[str, Any]) -> None:
        kind, runtime = frame["type"], frame.get("runtime")
        if kind == "sync":
            status = {"status": "WAITING_ON_INPUT", "active_run_ids": []}
            await self._send(socket, "update_loop_status", runtime=runtime, loop_status=status)
            await self._send(socket, "update_queue", runtime=runtime, queue=self.queue, removed=[])
        if kind == "remove_queue_item":
            self.queue = [item for item in self.queue if item["id"] != frame["item_id"]]
        answer = {"type": f"{kind}_response", "request_id": frame["request_id"], "success": True}
        if kind == "input":
            self.inputs.append(frame)
            answer = {"type": "input_accepted", "request_id": frame["request_id"], "accepted": True}
        await socket.send(json.dumps(answer, separators=(",", ":")))
        if kind == "input":
            await self._run(frame)

    async def _run(self, frame: dict[str, Any]) -> None:
        runtime, name = frame["runtime"], f"local-run-{len(self.inputs)}"
        [message] = frame["payload"]["messages"]
        ids = {name: [message["client_message_id"]]}
        active = {"status": "PROCESSING_API_RESPONSE", "active_run_ids": [name], "client_message_ids_by_run_id": ids}
        idle = {"status": "WAITING_ON_INPUT", "active_run_ids": [], "client_message_ids_by_run_id": ids}
        pieces = [{"message_type": "assistant_message", "content": "Hi."}, {"message_type": "stop_reason"}]
        for socket in self.sockets:
            await self._send(socket, "update_loop_status", runtime=runtime, loop_status=active)
            for number, piece in enumerate(pieces, 1):
                delta = {**piece, "run_id": name, "seq_id": number, "type": "message"}
                await self._send(socket, "stream_delta", delta=delta, runtime=runtime)
            await self._send(socket, "update_loop_status", runtime=runtime, loop_status=idle)
            await self._send(
                socket, "turn_finished", turn_id=name, stop_reason="end_turn", run_id=name, runtime=runtime
            )

    async def _send(self, socket: ServerConnection, kind: str, **fields: Any) -> None:
        await socket.send(json.dumps({"type": kind, **fields}, separators=(",", ":")))

    async def cut(self) -> None:
        """All of them, as a crash does."""
        sockets, self.sockets = self.sockets, []
        for socket in sockets:
            socket.transport.abort()
        await asyncio.sleep(0.05)


@pytest.fixture
async def app_server() -> AsyncIterator[FakeAppServer]:
    fake = FakeAppServer()
    async with serve(fake.talk, "127.0.0.1", 0, process_request=fake.answer_head) as server:
        fake.server = server
        yield fake


@pytest.fixture
async def gateway(app_server: FakeAppServer) -> AsyncIterator[LettaCodeGateway]:
    gateway = LettaCodeGateway(app_server.url, "secret-token", "standard")
    yield gateway
    await gateway.close()


def turn(delivery_id: str) -> Turn:
    return Turn(AGENT, UserMessage("hello"), "local-conv-1", delivery_id=delivery_id)


async def test_both_sockets_are_subscribed_before_a_message_is_sent(
    app_server: FakeAppServer, gateway: LettaCodeGateway
) -> None:
    events = await events_of_turn(gateway, turn("one"))
    assert events == [Accepted("lettabot-one"), Text("Hi."), Ended()]
    assert app_server.said == ["1 opened", "2 opened", "1 sync", "2 sync", "1 runtime_start", "1 input"]
    [sent] = app_server.inputs
    assert sent["payload"]["messages"] == [{"role": "user", "content": "hello", "client_message_id": "lettabot-one"}]
    await events_of_turn(gateway, turn("two"))
    assert app_server.said[6:] == ["1 input"]


async def test_after_a_loss_what_is_left_over_is_taken_out_before_anything_else(
    app_server: FakeAppServer, gateway: LettaCodeGateway
) -> None:
    await events_of_turn(gateway, turn("one"))
    await app_server.cut()
    app_server.said.clear()
    app_server.queue = [
        {"id": "q-1", "client_message_id": "lettabot-interrupted"},
        {"id": "q-2", "client_message_id": "somebody-else"},
    ]
    with pytest.raises(FailureError) as raised:
        await events_of_turn(gateway, turn("two"))
    # What others have in the queue would join our message.
    assert raised.value.failure.code is FailureCode.CONVERSATION_BUSY
    told = ["3 opened", "4 opened", "3 sync", "3 remove_queue_item", "4 sync", "3 runtime_start"]
    assert app_server.said == told
    assert [item["id"] for item in app_server.queue] == ["q-2"]


async def test_a_lost_socket_is_made_again_at_once_and_subscribed_before_the_next_message(
    app_server: FakeAppServer, gateway: LettaCodeGateway
) -> None:
    await events_of_turn(gateway, turn("one"))
    app_server.said.clear()
    app_server.sockets.pop(0).transport.abort()
    await asyncio.sleep(0.3)
    assert app_server.said == ["3 opened"]
    await events_of_turn(gateway, turn("two"))
    assert app_server.said == ["3 opened", "3 sync", "2 input"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (HTTPStatus.UNAUTHORIZED, FailureCode.UPSTREAM_AUTHENTICATION),
        (HTTPStatus.FORBIDDEN, FailureCode.UPSTREAM_AUTHENTICATION),
        (HTTPStatus.NOT_FOUND, FailureCode.UPSTREAM_UNEXPECTED),
        (HTTPStatus.FOUND, FailureCode.UPSTREAM_REDIRECT),
    ],
)
async def test_a_server_that_refuses_the_socket(
    app_server: FakeAppServer, gateway: LettaCodeGateway, status: HTTPStatus, code: FailureCode
) -> None:
    app_server.status = status
    with pytest.raises(FailureError) as raised:
        await gateway.check()
    assert (raised.value.failure.code, raised.value.failure.delivery) == (code, Delivery.NO)
    assert "secret" not in str(raised.value)
    assert app_server.said == ["refused"]


async def test_who_waits_behind_a_connection_that_fails_need_not_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.letta_code.socket.OPENED_WITHIN", 0.2)
    tries = []

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(writer)

    hole = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    lost = LettaCodeGateway(f"ws://127.0.0.1:{hole.sockets[0].getsockname()[1]}", None, "standard")
    failures = await asyncio.gather(*(lost.check() for _ in range(5)), return_exceptions=True)
    assert all(isinstance(failure, FailureError) for failure in failures)
    assert len(tries) == 1
    for writer in tries:
        writer.close()
    hole.close()


async def test_a_server_that_is_not_there() -> None:
    gateway = LettaCodeGateway("ws://127.0.0.1:9", None, "standard")
    for asked in (gateway.check(), gateway.agents(), events_of_turn(gateway, turn("one"))):
        with pytest.raises(FailureError) as raised:
            await asked
        failure = raised.value.failure
        assert (failure.code, failure.delivery) == (FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)
    await gateway.close()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (UserMessage("x" * 20_000_001), FailureCode.UPSTREAM_TOO_LARGE),
        (UserMessage(" "), FailureCode.UNSUPPORTED_CONTENT),
        (UserMessage("look", (ImageLink("https://example.org/a.png"),)), FailureCode.UNSUPPORTED_CONTENT),
    ],
)
async def test_what_the_server_would_lose_is_not_sent(
    app_server: FakeAppServer, gateway: LettaCodeGateway, message: UserMessage, code: FailureCode
) -> None:
    with pytest.raises(FailureError) as raised:
        await events_of_turn(gateway, Turn(AGENT, message, delivery_id="one"))
    assert (raised.value.failure.code, raised.value.failure.delivery) == (code, Delivery.NO)
    assert app_server.inputs == []
