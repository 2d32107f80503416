"""A Letta of a test's making, without a network: what it answers to messages, and what it has stored of runs."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
from letta_client import AsyncLetta

from adapters.letta.gateway import LettaGateway
from domain.model.agent import Agent
from domain.model.turn import TurnRequest, UserMessage
from domain.model.turn_rules import TurnRules
from tests.fakes.services import Asked, Client, turns_of

AGENT = Agent("agent-00000000-0000-4000-8000-000000000000", "name 0", 0)
RUN = "run-1"


def event(message_type: str, **fields: object) -> bytes:
    return f"data: {json.dumps({'message_type': message_type, **fields})}\n\n".encode()


def text(content: object) -> bytes:
    return event("assistant_message", content=content)


def stop(reason: str) -> bytes:
    return event("stop_reason", stop_reason=reason)


def error(kind: str = "internal_error", **fields: object) -> bytes:
    return b"event: error\n" + event("error_message", error_type=kind, **fields)


PING = event("ping", run_id=RUN)
DONE = b"data: [DONE]\n\n"
SAID = "$said"
"""Stands in what is stored, for the otid with which the message was sent."""


class ScriptedLetta:
    """`answers`: to messages, in order; the last one again and again. `stored`: of the run; each look at it takes the
    next of `statuses`, until one is left. `history`: the newest messages. `away`: for lookups only."""

    def __init__(self, *answers: bytes | httpx.Response) -> None:
        self.answers = list(answers)
        self.statuses: list[tuple[str, str | None]] = [("completed", "end_turn")]
        self.stored: Sequence[Any] = ()
        self.history: Sequence[Any] = ()
        self.active: Sequence[Any] = ()
        self.away = False
        self.knows_runs = True
        self.sent: list[list[dict[str, Any]]] = []
        self.looks: list[str] = []
        self.raw: dict[str, bytes] = {}
        transport = httpx.MockTransport(self._answer)
        self.gateway = LettaGateway(
            AsyncLetta(
                base_url="http://letta.test",
                api_key="k",
                max_retries=0,
                http_client=httpx.AsyncClient(transport=transport),
            )
        )
        self._client = Client(turns_of(self.gateway, TurnRules(recovery_timeout=0.5)))

    def ask(self, message: str = "q") -> Asked:
        return self._client.ask(TurnRequest(AGENT, UserMessage(message)))

    def keeps(self, *messages: dict[str, Any], said: bool = True) -> None:
        """Stored of the run: what the user has said, and then these."""
        self.stored = [user_message()] * said + list(messages)
        self.history = [dict(message, run_id=RUN) for message in self.stored]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method == "POST" and path.endswith("/messages"):
            self.sent.append(json.loads(request.content)["messages"])
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, httpx.Response):
                return answer
            return httpx.Response(200, content=answer, headers={"content-type": "text/event-stream"})
        self.looks.append(path)
        if self.away:
            return httpx.Response(502)
        if path in self.raw:
            return httpx.Response(200, content=self.raw[path])
        match path.strip("/").split("/"):
            case ["v1", "runs", _] if self.knows_runs:
                status, reason = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
                return httpx.Response(200, json={"status": status, "stop_reason": reason})
            case ["v1", "runs", _, "messages"]:
                return self._listed(self.stored)
            case ["v1", "runs"]:
                return httpx.Response(200, json=self.active)
            case ["v1", "conversations", _, "messages"]:
                return self._listed(self.history)
        return httpx.Response(404, json={"detail": "Not Found"})

    def _listed(self, messages: Sequence[Any]) -> httpx.Response:
        said = next((each.get("otid", "") for each in self.sent[-1] if "role" in each), "") if self.sent else ""
        return httpx.Response(200, content=json.dumps(messages).replace(SAID, said).encode())


def user_message() -> dict[str, Any]:
    return {"message_type": "user_message", "otid": SAID, "content": "q"}


def assistant_message(content: object) -> dict[str, Any]:
    return {"message_type": "assistant_message", "otid": "generated", "content": content}


def tool_return(call_id: str, result: object = "done") -> dict[str, Any]:
    returned = {"tool_call_id": call_id, "tool_return": result, "status": "success"}
    return {"message_type": "tool_return_message", "otid": "generated", "tool_returns": [returned]}


def approval_request(*call_ids: str, date: str = "2026-11-26T01:06:15+00:00") -> dict[str, Any]:
    calls = [{"name": "delete_todo", "arguments": '{"number": 2}', "tool_call_id": call_id} for call_id in call_ids]
    return {"message_type": "approval_request_message", "otid": "x", "date": date, "tool_calls": calls}
