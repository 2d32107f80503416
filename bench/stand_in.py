"""A Letta stand-in that costs almost nothing: events as recorded from Letta 0.16.8, 330 bytes and one write each.

Knows just what the service asks of Letta in the rows of the table. Run it as `python -m bench.stand_in PORT AGENTS`."""

import asyncio
import json
import socket
import sys
import time
import uuid
from typing import cast
from urllib.parse import parse_qs, urlsplit

import msgspec
import uvloop

from bench.script import Script, word

_RUN = "run-225bfb9a-835e-4422-b76f-78cc4cc187ad"
_PING = (
    b'{"id":"ping-1a2b0fa6-adf2-4380-8c60-ad3a60a20e16","date":"2026-11-23T03:01:04+00:00","name":null,'
    b'"message_type":"ping","otid":null,"sender_id":null,"step_id":null,"is_err":null,"seq_id":null,"run_id":"'
    + _RUN.encode()
    + b'"}'
)
_TEXT = (
    b'{"id":"message-70b77b63-1af7-4473-989b-3a8b5d1e7143","date":"2026-11-23T03:01:04+00:00","name":null,'
    b'"message_type":"assistant_message","otid":"70b77b63-1af7-4473-989b-3a8b5d1e7100","sender_id":null,'
    b'"step_id":"step-f2881d42-3f63-4573-8ab8-58e77cf1cfc7","is_err":null,"seq_id":null,"run_id":"'
    + _RUN.encode()
    + b'","content":"%s"}'
)
_STOP = b'{"message_type":"stop_reason","stop_reason":"end_turn"}'
_USAGE = (
    b'{"message_type":"usage_statistics","completion_tokens":5,"prompt_tokens":3112,"total_tokens":3117,"step_count":1,'
    b'"run_ids":null,"cached_input_tokens":null,"cache_write_tokens":null,"reasoning_tokens":null}'
)
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_END = b"0\r\n\r\n"
# An AgentState is about this large; nearly all of it is the system prompt.
_AGENT_STATE_BYTES = 7_000


class _Message(msgspec.Struct):
    content: str | list[dict[str, str]]


class _Send(msgspec.Struct):
    messages: list[_Message]


_send_decoder = msgspec.json.Decoder(_Send)


def agent_id(number: int) -> str:
    return f"agent-00000000-0000-4000-8000-{number:012}"


def agent_name(number: int) -> str:
    return f"anna{number}"


class _Connection(asyncio.Protocol):
    def __init__(self, agents: int) -> None:
        self._agents = agents
        self._received = b""
        self._transport: asyncio.Transport
        self._timer: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        lines = head.split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines[1:])
        length = int(headers.get(b"content-length", b"0"))
        if len(body) < length:
            return
        self._received = body[length:]
        method, target, _ = lines[0].decode().split(" ")
        self._answer(method, target, body[:length])

    def _answer(self, method: str, target: str, body: bytes) -> None:
        url = urlsplit(target)
        if method == "POST" and url.path.endswith("/messages"):
            content = _send_decoder.decode(body).messages[-1].content
            script = Script.of(content if isinstance(content, str) else content[-1]["text"])
            self._transport.write(_HEAD + _framed(_PING))
            self._say(script, 0, time.monotonic())
        elif method == "POST" and url.path.strip("/") == "v1/conversations":
            self._json({"id": f"conv-{uuid.uuid4()}"})
        elif url.path.strip("/") == "v1/agents":
            self._json(self._listed(parse_qs(url.query)))
        else:
            self._json({"status": "ok"})

    def _say(self, script: Script, index: int, began: float) -> None:
        """One event, and the next one in a later round of the loop: so each is a write of its own, as Letta does."""
        loop = asyncio.get_running_loop()
        if script.delay:
            if index < script.chunks:
                # By the clock and not after one another, so that a busy machine does not make the stream slower.
                due = max(began + (index + 1) * script.delay - time.monotonic(), 0)
                self._timer = loop.call_later(due, self._word, script, index, began)
                return
        elif index < script.chunks:
            self._timer = loop.call_soon(self._word, script, index, began)
            return
        self._transport.write(_framed(_STOP) + _framed(_USAGE) + _framed(b"[DONE]") + _END)

    def _word(self, script: Script, index: int, began: float) -> None:
        self._transport.write(_framed(_TEXT % word(index, time.monotonic()).encode()))
        self._say(script, index + 1, began)

    def _listed(self, query: dict[str, list[str]]) -> list[dict[str, str]]:
        after = query.get("after", [""])[0]
        first = int(after[-12:]) + 1 if after else 0
        limit = int(query.get("limit", ["50"])[0])
        return [
            {
                "id": agent_id(number),
                "name": agent_name(number),
                "created_at": f"2026-01-01T00:00:{number % 60:02}Z",
                "system": "x" * _AGENT_STATE_BYTES,
            }
            for number in range(first, min(first + limit, self._agents))
        ]

    def _json(self, value: object) -> None:
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


def _framed(data: bytes) -> bytes:
    """One SSE event in one chunk of HTTP's chunked encoding."""
    return b"%x\r\ndata: %s\n\n\r\n" % (len(data) + 8, data)


async def _serve(port: int, agents: int) -> None:
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(agents), "127.0.0.1", port, backlog=20_000
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
