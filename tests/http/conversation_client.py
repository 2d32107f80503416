"""How tests ask for conversations, and with which keys."""

from typing import Any

import httpx

from domain.model.api_key import NamedKey, digest_of
from tests.fakes.listing_gateway import ListingGateway
from tests.http.conftest import Service

GUEST = {"Authorization": "Bearer guest-key"}
BOSS = {"Authorization": "Bearer boss-key"}
MUTE = {"Authorization": "Bearer mute-key"}
KEYS = (
    NamedKey("guest", digest_of(b"guest-key"), 0.0),
    NamedKey("boss", digest_of(b"boss-key"), 0.0, admin=True),
    NamedKey("mute", digest_of(b"mute-key"), 0.0, chat_headers=False),
    NamedKey("bertist", digest_of(b"bert-key"), 0.0, agents=("bert",)),
)


async def say(service: Service, text: str, chat: str | None = None, who: dict[str, str] | None = None) -> None:
    headers = {**(who or {}), **({} if chat is None else {"X-Letta-Chat-Key": chat})}
    answer = await service.client.post("/api/v1/chat", json={"message": text, "agent": "anna"}, headers=headers)
    assert answer.status_code == 200, answer.text


async def listed(service: Service, who: dict[str, str] | None = None, **query: str) -> list[dict[str, Any]]:
    answer = await service.client.get("/api/v1/conversations", params=query, headers=who)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["conversations"]
    return found


async def assign(service: Service, who: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    return await service.client.post("/api/v1/conversation", json=body, headers=who)


def refused(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body["success"] is False
    assert body["error"]
    return answer.status_code, body["code"]


def places(gateway: ListingGateway) -> list[str | None]:
    return [turn.conversation for turn in gateway.inner.delivered]
