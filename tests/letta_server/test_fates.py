"""What a real Letta server has stored decides what is said of a message; what of its answers is spoilt on the way is
found there."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx
import pytest

from adapters.letta import gateway as letta_gateway
from adapters.letta.client import letta_client
from adapters.letta.gateway import LettaGateway
from domain.model.agent import Agent
from domain.model.events import ApprovalRequest, Failed, ToolResult
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.turn import Turn, TurnRequest, UserMessage
from tests.fakes.services import Client, turns_of
from tests.letta_server.admin import LettaAdmin
from tests.letta_server.conftest import Service
from tests.letta_server.lab import LettaLab

pytestmark = pytest.mark.letta

DELETE = '[[call delete_todo {"number": 2}]]'
CLEANUP = b'event: error\ndata: {"message_type":"error_message","error_type":"cleanup_error","message":"x"}\n\n'
Spoil = Callable[[list[bytes]], list[bytes]]


def told(answer: httpx.Response) -> tuple[int, str, str]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["message"]


@pytest.mark.parametrize(
    ("text", "code", "kept"),
    [
        ("[[error 500]]", "llm_error", False),
        ("[[error 401]]", "llm_authentication", False),
        ("[[error 429]]", "llm_rate_limit", False),
        ("[[midfail 3]]", "llm_error", False),
        ("[[tool-then-error 500]]", "llm_error", True),
    ],
)
def test_an_error_of_the_language_model(admin: LettaAdmin, service: Service, text: str, code: str, kept: bool) -> None:
    agent = admin.create_agent(f"fails {text}".translate(str.maketrans("", "", "[]-")))
    _, found, message = told(service.post(agent, text))
    assert found == code
    assert ("was delivered" if kept else "Nothing was delivered") in message
    assert admin.user_messages(agent) == [text] * kept
    assert service.ask(agent, "[[say next]]") == "next"


def test_a_denial_is_kept_and_the_message_is_not(admin: LettaAdmin, service: Service) -> None:
    agent = admin.create_agent("half kept")
    assert "/approve" in service.ask(agent, DELETE)
    _, code, message = told(service.post(agent, "[[error 500]]"))
    assert code == "llm_error"
    assert "Nothing was delivered" in message
    assert admin.user_messages(agent) == [DELETE]
    assert service.ask(agent, "[[say next]]") == "next"
    assert admin.user_messages(agent) == [DELETE, "[[say next]]"]


class Misled(LettaGateway):
    """Believes that these calls wait, whatever Letta has."""

    listed: Sequence[ApprovalRequest] = ()

    async def approvals(self, turn: Turn) -> Sequence[ApprovalRequest]:
        return self.listed


def run(lab: LettaLab, agent: str, *texts: str, listed: Sequence[ApprovalRequest] | None = None) -> list[Any]:
    """The events of a turn for each text, without a server between."""

    async def turns() -> list[Any]:
        client = letta_client(lab.base_url, None)
        gateway = LettaGateway(client) if listed is None else Misled(client)
        if isinstance(gateway, Misled):
            gateway.listed = listed or ()
        asking = Client(turns_of(gateway))
        found = [
            list(await asking.ask(TurnRequest(Agent(agent, "x", 0), UserMessage(text))).answer()) for text in texts
        ]
        await gateway.close()
        return found

    return asyncio.run(turns())


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("says", ["[[say go on]]", "/deny", "/approve"])
@pytest.mark.parametrize("listed", [[], [ApprovalRequest("call_of_before", "delete_todo")]], ids=["empty", "stale"])
def test_calls_that_are_listed_wrongly_are_denied(
    admin: LettaAdmin, lab: LettaLab, says: str, listed: list[ApprovalRequest], parallel: bool
) -> None:
    agent = admin.create_agent(f"misled {says.strip('[]/')} {len(listed)} {parallel}", parallel_tool_calls=parallel)
    [asked] = run(lab, agent, DELETE)
    assert any(isinstance(event, ApprovalRequest) for event in asked)
    answered, later = run(lab, agent, says, "[[say later]]", listed=listed)
    assert not isinstance(answered[-1], Failed)
    assert not isinstance(later[-1], Failed)
    assert admin.user_messages(agent) == [DELETE, *([says] if "say" in says else []), "[[say later]]"]
    returns = [m for m in admin.messages(agent) if m["message_type"] == "tool_return_message"]
    assert [message["status"] for message in returns] == ["error"]


def spoilt(monkeypatch: pytest.MonkeyPatch, spoil: Spoil) -> None:
    """From now on, the events of streams are changed before they are read."""
    received = letta_gateway._received

    async def changed(answer: Any) -> AsyncIterator[bytes]:
        body = b"".join([piece async for piece in received(answer)])
        for event in spoil([event + b"\n\n" for event in body.split(b"\n\n") if event]):
            yield event

    monkeypatch.setattr(letta_gateway, "_received", changed)


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("text", ["[[words 6]]", "[[text+tool]]"])
def test_a_part_that_cannot_be_read_is_found_in_the_record(
    admin: LettaAdmin, lab: LettaLab, monkeypatch: pytest.MonkeyPatch, text: str, at: int
) -> None:
    agent = admin.create_agent(f"spoilt {at} {len(text)}")
    [whole] = run(lab, agent, text)
    spoilt(monkeypatch, lambda events: [*events[:at], b'data: {"content": "\\ud83d"}\n\n', *events[at + 1 :]])
    [mended] = run(lab, agent, text)
    assert said(mended) == said(whole)
    assert admin.user_messages(agent) == [text, text]


def said(events: Sequence[Any]) -> tuple[str, int]:
    words = "".join(getattr(event, "text", "") for event in events if not isinstance(event, ToolResult))
    return words, sum(isinstance(event, ToolResult) for event in events)


@pytest.mark.parametrize("keep", [-1, -3])
def test_an_error_after_the_answer(
    admin: LettaAdmin, lab: LettaLab, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    """With and without the stop reason before it."""
    agent = admin.create_agent(f"careless {-keep}")
    spoilt(monkeypatch, lambda events: [*events[:keep], CLEANUP])
    [events] = run(lab, agent, "[[say done]]")
    assert said(events)[0] == "done"
    assert admin.user_messages(agent) == ["[[say done]]"]


@pytest.mark.parametrize(
    ("text", "delivery"), [("[[error 500]]", Delivery.NO), ("[[tool-then-error 500]]", Delivery.YES)]
)
def test_an_error_before_anything_is_known_of_the_run(
    admin: LettaAdmin, lab: LettaLab, monkeypatch: pytest.MonkeyPatch, text: str, delivery: Delivery
) -> None:
    agent = admin.create_agent(f"nameless {delivery}")
    spoilt(monkeypatch, lambda events: [CLEANUP])
    [[*_, last]] = run(lab, agent, text)
    assert isinstance(last, Failed)
    assert last.failure == Failure(FailureCode.AGENT_ERROR, delivery, last.failure.cause)
