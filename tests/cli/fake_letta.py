"""A very small Letta server on loopback: as much of it as a command line and a starting service need."""

import contextlib
import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

ANNA = "agent-00000000-0000-4000-8000-00000000000a"
BERT = "agent-00000000-0000-4000-8000-00000000000b"
OTHER_BERT = "agent-00000000-0000-4000-8000-00000000000c"

SLOW = "think about it for a long time"
"""Said to the agent: it accepts the message, then says nothing until it is `let_go`."""
HALTING = "stop in the middle"
"""Said to the agent: it says "Well", and the rest when it is `let_go`."""
FAILING = "fail, please"
"""Said to the agent: it fails in its second step, so that the message was delivered."""


class FakeLetta:
    """Everything is public: `agents` are (id, name) pairs; `heard` is what the agents were told, in order, and
    `headers` with which headers; `keys` are the Authorization headers of all questions.

    With a `password`, other keys are answered with 401, as Letta does."""

    def __init__(self, agents: Sequence[tuple[str, str]] = ((ANNA, "anna"),), password: str | None = None) -> None:
        self.agents = list(agents)
        self.password = password
        self.heard: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.keys: list[str | None] = []
        self.let_go = threading.Event()
        self._port = 0
        self._http: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self, port: int = 0) -> Self:
        self._http = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"fake": self}))
        self._http.daemon_threads = True
        self._port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        self.let_go.set()
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    def __enter__(self) -> Self:
        return self if self._http else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Handler(BaseHTTPRequestHandler):
    fake: FakeLetta

    def do_GET(self) -> None:
        self.fake.keys.append(self.headers["authorization"])
        url = urlsplit(self.path)
        if url.path.rstrip("/") == "/v1/health":
            # Anybody may ask that.
            self._json(200, {"version": "0.16.8", "status": "ok"})
            return
        if not self._is_let_in():
            return
        if url.path.rstrip("/") == "/v1/agents":
            wanted = parse_qs(url.query)
            self._json(
                200,
                [
                    {"id": id_, "name": name, "created_at": f"2025-01-01T00:00:{index:02}Z"}
                    for index, (id_, name) in enumerate(self.fake.agents)
                    if name in wanted.get("name", [name])
                ],
            )
        else:
            self._json(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self._is_let_in():
            return
        if "messages" not in body:
            # A new conversation.
            self._json(200, {"id": "conv-00000000-0000-4000-8000-000000000001"})
            return
        text = body["messages"][-1]["content"]
        self.fake.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.fake.heard.append(text)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self._event(message_type="ping", run_id="run-1")
        if text == FAILING:
            self._event(message_type="tool_return_message", tool_returns=[{"tool_call_id": "call-1"}])
            self._event(message_type="stop_reason", stop_reason="llm_api_error")
            self._event(message_type="error_message", error_type="internal_error", message=f"provider says: {text}")
            return
        if text == HALTING:
            self._event(message_type="assistant_message", content="Well. ")
        if text in (SLOW, HALTING):
            self.fake.let_go.wait()
        for part in ("You said", ": ", text):
            self._event(message_type="assistant_message", content=part)
        self._event(message_type="stop_reason", stop_reason="end_turn")
        self._write(b"data: [DONE]\n\n")

    def _is_let_in(self) -> bool:
        password = self.fake.password
        if password is None or self.headers["authorization"] == f"Bearer {password}":
            return True
        self._json(401, {"detail": "Unauthorized"})
        return False

    def _event(self, **event: object) -> None:
        self._write(b"data: " + json.dumps(event).encode() + b"\n\n")

    def _write(self, data: bytes) -> None:
        # Nobody may be listening any more.
        with contextlib.suppress(OSError):
            self.wfile.write(data)
            self.wfile.flush()

    def _json(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self._write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test's output is for what went wrong."""
