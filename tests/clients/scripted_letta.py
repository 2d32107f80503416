"""A stand-in for Letta over HTTP that plays what a real one was recorded to say, slowly where that is asked for.

There is one agent for each question, of the same name: so questions do not wait for each other, and what each of them
led to can be told apart. What an agent does with a message is said by the first word of its name."""

import contextlib
import itertools
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

RECORDINGS = Path(__file__).parents[1] / "letta_adapter" / "recordings"
ANSWERS_AFTER = 2.5
"""Seconds that an agent thinks, if it is `late` or `silent`."""
WORDS, A_WORD = 32, 0.25
"""An `endless` agent goes on for eight seconds, if nobody stops it."""

TEXT = "Hello from the stub model ."
TOOL_TEXT = "The tool answered 1 time(s) , all done ."
TOOL = "list_todos"


class ScriptedLetta:
    """Everything is public. Of each agent: what was delivered to it, as (run id, text). Of runs: which have ended, and
    which were cancelled before that.

    A message counts as delivered as soon as it is posted. There is no lock on busy agents, which would hide repeats."""

    def __init__(self, questions: Sequence[str]) -> None:
        self.agents = {f"agent-00000000-0000-4000-8000-{number:012}": name for number, name in enumerate(questions)}
        self.deliveries: Mapping[str, list[tuple[str, str]]] = {name: [] for name in questions}
        self.ended: set[str] = set()
        self.cancelled: list[str] = []
        self.stops: dict[str, threading.Event] = {}
        self.counter = itertools.count(1)
        self.url = ""

    def __enter__(self) -> Self:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"letta": self}))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stop in self.stops.values():
            stop.set()
        self._http.shutdown()
        self._http.server_close()

    def deliver(self, agent_id: str, message: Mapping[str, str]) -> str:
        """The id of the run that begins."""
        run_id = f"run-00000000-0000-4000-8000-{next(self.counter):012}"
        self.stops[run_id] = threading.Event()
        self.deliveries[self.agents[agent_id]].append((run_id, message["content"]))
        return run_id

    def answer(self, name: str, run_id: str) -> Iterator[bytes]:
        """The events of that run, as they are due."""
        stop = self.stops[run_id]
        match name.partition(" ")[0]:
            case "late":
                ping, *rest = _events("text", run_id)
                yield ping
                stop.wait(ANSWERS_AFTER)
            case "silent":
                rest = _events("text", run_id)
                stop.wait(ANSWERS_AFTER)
            case "endless":
                ping, word, *_ = _events("text", run_id)
                yield ping
                for _ in range(WORDS):
                    yield word
                    if stop.wait(A_WORD):
                        break
                rest = _events("text", run_id)[-3:]
            case recorded:
                rest = _events(recorded, run_id)
        # A run that was cancelled says so and ends, without a [DONE].
        yield from _events("cancelled", run_id)[-1:] if stop.is_set() else rest


def _events(recording: str, run_id: str) -> list[bytes]:
    recorded = (RECORDINGS / f"{recording}.sse").read_bytes()
    own = re.sub(rb"run-[0-9a-f-]{36}", run_id.encode(), recorded)
    return [event + b"\n\n" for event in own.split(b"\n\n") if event.strip()]


class _Handler(BaseHTTPRequestHandler):
    letta: ScriptedLetta

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        match url.path.strip("/").split("/"):
            case ["v1", "agents"]:
                self._json(200, self._listed(parse_qs(url.query)))
            case ["v1", "runs", run_id] if run_id in self.letta.stops:
                status = "cancelled" if run_id in self.letta.cancelled else "running"
                self._json(200, {"id": run_id, "status": status, "stop_reason": None})
            case ["v1", "runs", run_id, "messages"] if run_id in self.letta.stops:
                # Cancelled in its first step, a run leaves nothing behind.
                self._json(200, [])
            case ["v1", "runs", run_id, "usage"] if run_id in self.letta.stops:
                self._json(200, {"prompt_tokens": 0, "completion_tokens": 0})
            case _:
                self._json(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        match urlsplit(self.path).path.strip("/").split("/"):
            case ["v1", "agents", _, "messages", "cancel"]:
                self._json(200, dict.fromkeys(body["run_ids"], "cancelled"))
                for run_id in body["run_ids"]:
                    self.letta.cancelled.append(run_id)
                    self.letta.stops[run_id].set()
            case ["v1", "conversations", "default", "messages"]:
                self._run(body["agent_id"], body)
            case ["v1", "agents", agent_id, "messages", *_]:
                self._run(agent_id, body)
            case _:
                self._json(404, {"detail": "Not Found"})

    def _run(self, agent_id: str, body: Mapping[str, list[dict[str, str]]]) -> None:
        run_id = self.letta.deliver(agent_id, body["messages"][-1])
        begun = False
        for event in self.letta.answer(self.letta.agents[agent_id], run_id):
            if not begun:
                self._head(200, "text/event-stream")
                begun = True
            self._write(event)
        self.letta.ended.add(run_id)

    def _listed(self, query: Mapping[str, list[str]]) -> list[dict[str, str]]:
        if "after" in query:
            return []
        return [
            {"id": id_, "name": name, "created_at": f"2026-01-01T{index // 60:02}:{index % 60:02}:00Z"}
            for index, (id_, name) in enumerate(self.letta.agents.items())
            if name in query.get("name", [name])
        ]

    def _json(self, status: int, value: object) -> None:
        self._head(status, "application/json")
        self._write(json.dumps(value).encode())

    def _head(self, status: int, content_type: str) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("connection", "close")
        with contextlib.suppress(OSError):
            self.end_headers()

    def _write(self, data: bytes) -> None:
        # Nobody may be listening any more.
        with contextlib.suppress(OSError):
            self.wfile.write(data)
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test's output is for what went wrong."""
