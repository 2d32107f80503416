"""Plays a Letta server on loopback: recorded answers, cut into pieces anywhere, and every way of breaking off."""

import asyncio
import json
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

RECORDINGS = Path(__file__).parent / "recordings"
BUSY = "CONFLICT: Cannot send a new message: Another request (run_id=run-1) is currently being processed"


def agent(number: int, name: str) -> dict[str, Any]:
    """As recorded, cut down; a real one has about 7 kB more, which nobody reads."""
    return {
        "created_by_id": "user-00000000-0000-4000-8000-000000000000",
        "created_at": f"2026-11-{1 + number // 1440:02}T{number // 60 % 24:02}:{number % 60:02}:31.927167Z",
        "id": f"agent-00000000-0000-4000-8000-{number:012}",
        "name": name,
        "tool_rules": [{"tool_name": "list_todos", "type": "continue_loop", "prompt_template": None}],
        "system": "You are a helpful agent. " * 20,
        "memory": {"blocks": [{"value": "A person who tests things.", "limit": 100000, "label": "human"}]},
    }


class ReplayLetta:
    """What it does with a message is said in the message: the name of a recording, a status, or a way of breaking."""

    def __init__(self, agents: int = 2) -> None:
        self.agents = [agent(number, f"name {number}") for number in range(agents)]
        self.deliveries: list[dict[str, Any]] = []
        self.authorizations: set[str | None] = set()
        self.has_conversations = True
        self.forgets_cursors = False
        self.held = asyncio.Event()
        self.open = 0
        self.closed_by_client = 0
        self.url = ""
        self.conversations: dict[str, dict[str, Any]] = {}
        self.cancelled: list[str] = []
        self.waiting: list[dict[str, Any]] = []
        self._said: list[tuple[str, dict[str, Any]]] = []
        self._last_answer = ""
        self._opened = 0
        self._stopped = asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ReplayLetta"]:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=1000)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            self.held.set()
            server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            request, *lines = head.splitlines()
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.authorizations.add(headers.get("authorization"))
            method, target, _ = request.split(" ")
            if "/runs/" in target:
                self._run(writer, target)
            elif method == "DELETE":
                self.conversations.pop(target.rpartition("/")[2], None)
                _answer(writer, 200, {})
            elif method == "GET" and target.startswith("/v1/conversations/?"):
                self._list_conversations(writer, target)
            elif method == "PATCH" or (method == "GET" and "/conversations/" in target and "/messages" not in target):
                self._conversation(writer, target, json.loads(body or b"{}"))
            elif method == "GET" and "/conversations/" in target:
                _answer(writer, 200, self.waiting or self._listed(target))
            elif target.endswith("/fork"):
                self._fork(writer, target)
            elif method == "GET":
                self._lookup(writer, target)
            elif target.startswith("/v1/conversations/?"):
                self._open_conversation(writer, target)
            elif target.endswith("/cancel"):
                self.cancelled += json.loads(body)["run_ids"]
                self._stopped.set()
                _answer(writer, 200, {})
            else:
                await self._message(writer, target, json.loads(body))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.closed_by_client += 1
        finally:
            writer.close()

    def _lookup(self, writer: asyncio.StreamWriter, target: str) -> None:
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        wanted = url.path.removeprefix("/v1/agents/").strip("/")
        if wanted:
            found = [each for each in self.agents if each["id"] == wanted]
            missing = {"detail": f"Agent with ID {wanted} not found"}
            _answer(writer, 200 if found else 404, found[0] if found else missing)
            return
        listed = [each for each in self.agents if query.get("name", each["name"]) == each["name"]]
        ids = [each["id"] for each in listed]
        # A cursor that Letta does not know brings the first page again, without an error (recorded).
        start = ids.index(query["after"]) + 1 if query.get("after") in ids and not self.forgets_cursors else 0
        _answer(writer, 200, listed[start : start + int(query.get("limit", 50))])

    def keeps(self, place: str, messages: list[dict[str, Any]]) -> None:
        """These, oldest first, are stored there."""
        self._said += [(place, message) for message in messages]

    def _remember(self, place: str, message: dict[str, Any]) -> None:
        said = [("user_message", message["content"]), ("assistant_message", self._last_answer)]
        for kind, text in said:
            number = len(self._said)
            stored = {"id": f"message-{number}", "message_type": kind, "content": text, "otid": message.get("otid")}
            self._said.append((place, {**stored, "date": f"2026-01-01T00:00:{number:02}+00:00"}))

    def _listed(self, target: str) -> list[dict[str, Any]]:
        """The newest first; an unknown id is no cursor; of the default history, the newest oldest first (recorded)."""
        url = urlsplit(target)
        place = url.path.split("/")[3]
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        said = [message for where, message in self._said if where == place]
        # The messages of one step have one id, are counted as one, and stand in their order.
        steps = [[*step] for _, step in groupby(said, lambda message: message["id"])]
        ids = [step[0]["id"] for step in steps]
        if query.get("before") in ids:
            steps = steps[: ids.index(query["before"])]
        if query.get("after") in ids:
            steps = steps[ids.index(query["after"]) + 1 :]
        limit = int(query["limit"])
        listed = steps[:limit] if query["order"] == "asc" else steps[-limit:]
        if query["order"] == "desc" and place != "default":
            listed.reverse()
        return [message for step in listed for message in step]

    def _list_conversations(self, writer: asyncio.StreamWriter, target: str) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        if "after" in query and query["after"] not in self.conversations:
            _answer(writer, 404, {"detail": f"Conversation not found with id='{query['after']}'"})
            return
        listed = [each for each in reversed(self.conversations.values()) if each["agent_id"] == query["agent_id"]]
        if "after" in query:
            listed = listed[[each["id"] for each in listed].index(query["after"]) + 1 :]
        _answer(writer, 200, listed[: int(query["limit"])])

    def _conversation(self, writer: asyncio.StreamWriter, target: str, changes: dict[str, Any]) -> None:
        found = self.conversations.get(target.split("/")[3])
        if found is None:
            _answer(writer, 404, {"detail": "Conversation not found with id='...'"})
            return
        found.update(changes)
        _answer(writer, 200, found)

    def _fork(self, writer: asyncio.StreamWriter, target: str) -> None:
        """It has the same messages (recorded)."""
        source = self.conversations[target.split("/")[3]]
        fork = self._add_conversation(source["agent_id"])
        self._said += [(fork["id"], message) for place, message in self._said if place == source["id"]]
        _answer(writer, 200, fork)

    def _add_conversation(self, agent_id: str) -> dict[str, Any]:
        """As recorded, cut down."""
        number = self._opened
        self._opened += 1
        date = f"2026-11-23T03:{number // 60:02}:{number % 60:02}.555839Z"
        added = {"created_at": date, "updated_at": date, "id": f"conv-{number}", "agent_id": agent_id, "summary": None}
        self.conversations[added["id"] or ""] = added
        return added

    def _open_conversation(self, writer: asyncio.StreamWriter, target: str) -> None:
        [agent_id] = parse_qs(urlsplit(target).query)["agent_id"]
        if not self.has_conversations:
            _answer(writer, 404, {"detail": "Not Found"})
        elif agent_id not in {each["id"] for each in self.agents}:
            _answer(writer, 404, {"detail": "Agent not found"})
        else:
            _answer(writer, 200, self._add_conversation(agent_id))

    def _run(self, writer: asyncio.StreamWriter, target: str) -> None:
        """What is stored of the last message: the same text, in one piece (as recorded)."""
        if "/messages" in target:
            stored = [("user_message", "what was said"), ("assistant_message", self._last_answer)]
            _answer(writer, 200, [{"message_type": kind, "content": text} for kind, text in stored])
        elif "/usage" in target:
            _answer(writer, 200, {"completion_tokens": 6, "prompt_tokens": 370, "total_tokens": 376})
        else:
            _answer(writer, 200, {"status": "completed", "stop_reason": "end_turn"})

    async def _message(self, writer: asyncio.StreamWriter, target: str, body: dict[str, Any]) -> None:
        if "conversations" in target and not self.has_conversations:
            _answer(writer, 404, {"detail": "Not Found"})
            return
        [message] = body["messages"]
        what, _, detail = message["content"].partition(" ")
        place = target.split("/")[3]
        if place.startswith("conv-"):
            if place not in self.conversations:
                _answer(writer, 404, {"detail": f"Conversation not found with id='{place}'"})
                return
            body["agent_id"] = self.agents[0]["id"]
        agent_id = body.get("agent_id") or place
        if agent_id not in {each["id"] for each in self.agents}:
            _answer(writer, 404, {"detail": f"Agent with ID {agent_id} not found"})
            return
        self.deliveries.append({"target": target, **body})
        match what:
            case "status":
                _answer(writer, int(detail), {"detail": BUSY if detail == "409" else "Unauthorized"})
            case "cut":
                return
            case "reset":
                _reset(writer)
            case "cut_in_stream" | "reset_in_stream":
                await _stream(writer, recording("text")[:1200])
                await asyncio.sleep(0.05)
                if what == "reset_in_stream":
                    _reset(writer)
            case "hold":
                self.open += 1
                await _stream(writer, recording("text")[:300])
                await self.held.wait()
            case "until_cancelled":
                start, stop, end = recording("cancelled").partition(b'data: {"message_type": "stop_reason"')
                await _stream(writer, start)
                await self._stopped.wait()
                await _pieces(writer, stop + end)
                _end(writer)
            case "linger":
                await _stream(writer, recording(detail).removesuffix(b"data: [DONE]\n\n"))
                await self.held.wait()
            case "raw":
                await _stream(writer, bytes.fromhex(detail))
                _end(writer)
            case _:
                self._last_answer = _text_of(recording(what))
                self._remember(place, message)
                await _stream(writer, recording(what))
                _end(writer)


def recording(name: str) -> bytes:
    return (RECORDINGS / f"{name}.sse").read_bytes()


def _text_of(stream: bytes) -> str:
    events = [json.loads(line[6:]) for line in stream.decode().splitlines() if line.startswith("data: {")]
    return "".join(each["content"] for each in events if each["message_type"] == "assistant_message")


def _answer(writer: asyncio.StreamWriter, status: int, body: object) -> None:
    data = json.dumps(body).encode()
    writer.write(
        f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n"
        "connection: close\r\n\r\n".encode()
        + data
    )


async def _stream(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    )
    await _pieces(writer, body)


async def _pieces(writer: asyncio.StreamWriter, body: bytes) -> None:
    while body:
        size = random.randint(1, 400)
        piece, body = body[:size], body[size:]
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0)


def _end(writer: asyncio.StreamWriter) -> None:
    writer.write(b"0\r\n\r\n")


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
