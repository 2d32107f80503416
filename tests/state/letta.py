"""A Letta that outlives the services before it, and counts what it is told.

As recorded from 0.16.8: runs go on when their client is gone, a conversation is locked while one runs, and with Redis a
background message with a known otid is not delivered again but answered with the run that it led to."""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import uvicorn

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

AGENTS = {f"agent-00000000-0000-4000-8000-00000000000{at}": name for at, name in enumerate(("anna", "bert"))}


class Run:
    """One delivery, in a conversation (None: the agent's default one)."""

    def __init__(self, number: int, agent: str, conversation: str | None, text: str, otid: str | None) -> None:
        self.id = f"run-00000000-0000-4000-8000-{number:012}"
        self.agent = agent
        self.conversation = conversation
        self.text = text
        self.otid = otid
        self.over = asyncio.Event()

    @property
    def answer(self) -> str:
        return f"Done: {self.text}"

    def messages(self) -> list[dict[str, Any]]:
        """Stored when the only step is over."""
        if not self.over.is_set():
            return []
        return [
            {"message_type": "user_message", "content": self.text, "otid": self.otid, "run_id": self.id},
            {"message_type": "assistant_message", "content": self.answer, "otid": None, "run_id": self.id},
        ]


class CountingLetta:
    """`runs` are all deliveries in order; `conversations` say whose they are, and how many were
    `deleted`; `most_at_once` is in one conversation.

    `thinks` is in seconds. `is_away`: as far as a proxy before it can tell.
    """

    def __init__(self, redis: bool = True, thinks: float = 0.15) -> None:
        self.runs: list[Run] = []
        self.conversations: dict[str, str] = {}
        self.deleted = 0
        self.most_at_once = 0
        self.url = ""
        self.redis = redis
        self.thinks = thinks
        self.is_away = False
        self._locks: dict[tuple[str, str | None], Run] = {}
        self._at_once: dict[tuple[str, str | None], int] = {}
        self._by_otids: dict[tuple[str | None, ...], Run] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = uvicorn.Server(
            uvicorn.Config(self._app, port=0, log_config=None, access_log=False, lifespan="off", interface="asgi3")
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)

    @property
    def texts(self) -> list[str]:
        return [run.text for run in self.runs]

    async def _app(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        if self.is_away:
            await _json(send, 503, {"detail": "Service Unavailable"})
            return
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        parts = [part for part in scope["path"].split("/") if part][1:]
        body = b""
        if scope["method"] == "POST":
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body += message.get("body", b"")
                if not message.get("more_body"):
                    break
        asked = json.loads(body) if body else {}
        match scope["method"], parts:
            case "GET", ["agents"]:
                await _json(send, 200, [] if query.get("after") else [_agent(id_) for id_ in AGENTS])
            case "GET", ["agents", id_]:
                await _json(send, 200, _agent(id_))
            case "POST", ["conversations"]:
                made = f"conv-{len(self.conversations):08}-0000-4000-8000-000000000000"
                self.conversations[made] = query["agent_id"]
                await _json(send, 200, {"id": made})
            case "DELETE", ["conversations", _]:
                self.deleted += 1
                await _json(send, 200, {})
            case "POST", ["conversations", conversation, "messages"]:
                await self._deliver(send, asked, conversation)
            case "GET", ["conversations", conversation, "messages"]:
                place = None if conversation == "default" else conversation
                agent = query.get("agent_id")
                runs = [run for run in self.runs if run.conversation == place and (place or run.agent == agent)]
                stored = [message for run in runs for message in run.messages()]
                await _json(send, 200, stored[::-1][: int(query["limit"])])
            case "GET", ["runs"]:
                going_on = [run for run in self.runs if run.agent == query["agent_id"] and not run.over.is_set()]
                await _json(send, 200, [{"id": run.id, "conversation_id": run.conversation} for run in going_on])
            case "GET", ["runs", id_, *what]:
                [run] = [run for run in self.runs if run.id == id_]
                status = {"status": "completed" if run.over.is_set() else "running", "stop_reason": "end_turn"}
                answer = {"messages": run.messages(), "usage": {}}
                await _json(send, 200, answer[what[0]] if what else status)
            case _:
                await _json(send, 404, {"detail": "Not Found"})

    async def _deliver(self, send: Send, asked: dict[str, Any], conversation: str) -> None:
        place = None if conversation == "default" else conversation
        message = asked["messages"][-1]
        otids = tuple(each.get("otid") for each in asked["messages"])
        if asked.get("background") and not self.redis:
            detail = "INTERNAL_SERVER_ERROR: Background streaming requires Redis to be running."
            await _json(send, 503, {"detail": detail})
            return
        known = self._by_otids.get(otids) if asked.get("background") and otids[0] else None
        if known is None:
            agent = asked["agent_id"] if place is None else self.conversations[place]
            lane = (agent if place is None else "", place)
            if self.redis and (holder := self._locks.get(lane)) is not None:
                await _json(send, 409, {"detail": "CONFLICT: Another request is being processed", "run_id": holder.id})
                return
            known = Run(next(self._numbers), agent, place, message["content"], message.get("otid"))
            self.runs.append(known)
            self._by_otids[otids] = known
            self._locks[lane] = known
            task = asyncio.create_task(self._think(known, lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"text/event-stream; charset=utf-8")],
            }
        )
        async for event in _events(known):
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _think(self, run: Run, lane: tuple[str, str | None]) -> None:
        self._at_once[lane] = self._at_once.get(lane, 0) + 1
        self.most_at_once = max(self.most_at_once, self._at_once[lane])
        await asyncio.sleep(self.thinks)
        run.over.set()
        self._at_once[lane] -= 1
        if self._locks.get(lane) is run:
            del self._locks[lane]


async def _events(run: Run) -> AsyncIterator[bytes]:
    yield _event({"message_type": "ping", "id": "ping-1", "run_id": run.id})
    await run.over.wait()
    yield _event({"message_type": "assistant_message", "id": "message-1", "run_id": run.id, "content": run.answer})
    yield _event({"message_type": "stop_reason", "stop_reason": "end_turn"})
    yield _event({"message_type": "usage_statistics", "completion_tokens": 1, "prompt_tokens": 1, "total_tokens": 2})
    yield b"data: [DONE]\n\n"


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def _agent(id_: str) -> dict[str, Any]:
    return {"id": id_, "name": AGENTS.get(id_, id_), "created_at": "2026-11-23T03:01:04+00:00"}


async def _json(send: Send, status: int, content: Any) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode(), "more_body": False})
