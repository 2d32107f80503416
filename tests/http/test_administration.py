"""Keys over HTTP, the list of jobs, and what the service says it can do."""

import asyncio
import time
from typing import Any

import pytest

from domain.model.api_key import NamedKey, digest_of
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from tests.fakes.gateway import FakeGateway
from tests.fakes.key_store import FakeNamedKeyStore
from tests.http.conftest import Service, Start

pytestmark = pytest.mark.anyio

ALICE = {"Authorization": "Bearer alices key"}
CHIEF = {"Authorization": "Bearer chiefs key"}


def a_ring(**of_chief: object) -> FakeNamedKeyStore:
    return FakeNamedKeyStore(
        NamedKey("alice", digest_of(b"alices key"), 0.0),
        NamedKey("chief", digest_of(b"chiefs key"), 0.0, admin=True, **of_chief),  # type: ignore[arg-type]
    )


async def names(service: Service) -> list[str]:
    return [key["name"] for key in (await service.client.get("/api/v1/keys")).json()["keys"]]


async def test_a_key_that_is_made_works_at_once_and_stops_when_it_is_revoked(start: Start) -> None:
    service = await start(ring=a_ring())
    made = await service.client.post("/api/v1/keys", json={"name": "bob", "agents": ["anna"], "expires": "90d"})
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    told = made.json()
    assert (told["agents"], told["admin"], told["chatHeaders"]) == (["anna"], False, True)
    assert told["expiresAt"] > told["createdAt"]
    bob = {"Authorization": f"Bearer {told['key']}"}
    listed = await service.client.get("/v1/models", headers=bob)
    assert [model["id"] for model in listed.json()["data"]] == ["anna"]
    assert await names(service) == ["alice", "chief", "bob"]
    assert told["key"] not in (await service.client.get("/api/v1/keys")).text
    revoked = await service.client.delete("/api/v1/keys/bob")
    assert revoked.json() == {"success": True, "name": "bob"}
    assert (await service.client.get("/v1/models", headers=bob)).status_code == 401
    assert (await service.client.delete("/api/v1/keys/bob")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/v1/keys"), ("POST", "/api/v1/keys"), ("DELETE", "/api/v1/keys/chief")]
)
async def test_keys_are_for_admins(start: Start, method: str, path: str) -> None:
    service = await start(ring=a_ring())
    body = {"name": "mallory", "admin": True} if method == "POST" else None
    refused = await service.client.request(method, path, json=body, headers=ALICE)
    assert refused.status_code == 403
    assert refused.json()["code"] == "admin_required"
    assert refused.json()["success"] is False
    assert await names(service) == ["alice", "chief"]


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"name": "bob"}, 403),
        ({"name": "bob", "agents": ["bert"]}, 403),
        ({"name": "bob", "agents": ["anna"], "shareChats": True}, 403),
        ({"name": "bob", "agents": ["anna"], "admin": True}, 201),
    ],
)
async def test_a_limited_admin_makes_no_key_that_may_do_more(start: Start, wish: dict[str, Any], status: int) -> None:
    ring = a_ring(agents=("anna",), expires_at=time.time() + 100)
    service = await start(ring=ring)
    answer = await service.client.post("/api/v1/keys", json=wish, headers=CHIEF)
    assert answer.status_code == status, answer.text
    if status == 201:
        assert ring.kept[-1].expires_at == ring.kept[1].expires_at


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "bob", "expires": "soon"}, "expires"),
        ({"name": "bob", "expires": "0d"}, "expires"),
        ({"name": "bob", "agents": []}, "agents"),
        ({"name": "bob", "agents": [" "]}, "agents"),
        ({"name": "bob", "agents": ["a"] * 201}, "agents"),
        ({"name": "bob", "shareChats": True, "chatHeaders": False}, "shareChats"),
        ({"name": "bob", "admin": "yes"}, "admin"),
    ],
)
async def test_a_wish_that_cannot_be_met_is_refused_in_words(service: Service, wish: object, param: str) -> None:
    answer = await service.client.post("/api/v1/keys", json=wish)
    assert answer.status_code == 400
    assert param in answer.json()["error"]


@pytest.mark.parametrize("name", ["%00", "nobody", "a" * 5000, "a%2fb", "%ff"])
async def test_a_key_that_there_is_not_cannot_be_revoked(service: Service, name: str) -> None:
    assert (await service.client.delete(f"/api/v1/keys/{name}")).status_code == 404


async def test_a_name_is_given_once(start: Start) -> None:
    service = await start(ring=a_ring())
    answer = await service.client.post("/api/v1/keys", json={"name": "alice"})
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")


async def test_keys_that_cannot_be_read_are_a_503_that_may_be_tried_again(start: Start) -> None:
    ring = a_ring()
    service = await start(ring=ring)
    ring.broken = True
    answer = await service.client.get("/api/v1/keys")
    assert answer.status_code == 503
    assert answer.headers["x-should-retry"] == "true"


async def a_job(service: Service, headers: dict[str, str] | None = None) -> str:
    answer = await service.client.post("/api/v1/chat/async", json={"message": "do it"}, headers=headers)
    return str(answer.json()["jobId"])


async def listed(service: Service, headers: dict[str, str] | None = None, **query: object) -> list[dict[str, Any]]:
    answer = await service.client.get("/api/v1/jobs", headers=headers, params=query)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return list(answer.json()["jobs"])


async def ended(service: Service, job_id: str) -> None:
    while True:
        if (await service.client.get(f"/api/v1/chat/async/{job_id}")).json()["status"] == "completed":
            return
        await asyncio.sleep(0.02)


async def test_a_key_sees_its_own_jobs_and_an_admin_all_without_what_was_said(start: Start) -> None:
    service = await start(ring=a_ring())
    first, second = await a_job(service), await a_job(service, ALICE)
    await ended(service, first)
    await ended(service, second)
    assert [job["jobId"] for job in await listed(service, ALICE)] == [second]
    for headers in (CHIEF, None):
        found = await listed(service, headers)
        assert [(job["jobId"], job["keyName"]) for job in found] == [(second, "alice"), (first, "")]
    assert "do it" not in str(await listed(service))
    assert [job["jobId"] for job in await listed(service, after=second)] == [first]
    assert await listed(service, state="failed") == []
    assert len(await listed(service, state="completed", limit=1)) == 1
    assert (await service.client.get("/api/v1/jobs", params={"limit": 1})).json()["hasMore"] is True


async def test_an_admin_looks_at_and_cancels_the_jobs_of_others(start: Start) -> None:
    service = await start(ring=a_ring())
    job = await a_job(service, ALICE)
    assert (await service.client.get(f"/api/v1/chat/async/{job}", headers=CHIEF)).status_code == 200
    mine = await a_job(service)
    assert (await service.client.get(f"/api/v1/chat/async/{mine}", headers=ALICE)).status_code == 404


@pytest.mark.parametrize("query", [{"state": "x"}, {"limit": "501"}, {"after": "x"}, {"after": "job_\0"}])
async def test_what_cannot_be_meant_of_jobs_is_refused(service: Service, query: dict[str, str]) -> None:
    answer = await service.client.get("/api/v1/jobs", params=query)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(next(iter(query)))


async def test_the_service_says_what_it_can_do_and_what_the_key_may(start: Start) -> None:
    gateway = FakeGateway()
    service = await start(gateway, ring=a_ring())
    told = (await service.client.get("/api/v1/capabilities", headers=ALICE)).json()
    assert told["key"] == {"name": "alice", "admin": False, "agents": [], "chatHeaders": True}
    [backend] = told["backends"]
    assert backend["ready"] is True
    assert backend["message"] is None
    gateway.down = Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO)
    await asyncio.sleep(2.1)
    [away] = (await service.client.get("/api/v1/capabilities")).json()["backends"]
    assert away["ready"] is False
    assert away["since"] > backend["since"]
    assert "cannot be reached" in away["message"]
    gateway.down = None
    assert "stop runs" in backend["can"]
    assert (await service.client.get("/api/v1/capabilities")).json()["key"]["admin"] is True
    assert (await service.client.get("/api/v1/capabilities", headers={"Authorization": "x"})).status_code == 401
