"""Keys with names: who comes with them, and what they may."""

import asyncio

import msgspec
import pytest

from domain.model.api_key import NamedKey, digest_of
from domain.model.events import Accepted, ApprovalRequest, Ended
from domain.services import api_keys
from tests.fakes.gateway import ANNA, BERT, FakeGateway
from tests.fakes.key_store import FakeNamedKeyStore
from tests.http.conftest import Service, Start, question

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
ASYNC = "/api/v1/chat/async"


def key(name: str, **more: object) -> NamedKey:
    return NamedKey(name, digest_of(name.encode() + b"s key"), 0.0, **more)  # type: ignore[arg-type]


def with_key(name: str, **headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}s key", **headers}


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> FakeNamedKeyStore:
    monkeypatch.setattr(api_keys, "LOOK_EVERY", 0.0)
    return FakeNamedKeyStore(
        key("alice"),
        key("bob", agents=("bert",)),
        key("by-id", agents=(BERT.id,)),
        key("nobodys", agents=("carl",)),
        key("gone", expires_at=1.0),
        key("later", expires_at=4e9),
        key("silent", chat_headers=False),
    )


@pytest.fixture
async def service(start: Start, ring: FakeNamedKeyStore) -> Service:
    return await start(FakeGateway(), ring=ring)


async def status(service: Service, name: str, path: str = "/v1/models") -> int:
    return (await service.client.get(path, headers=with_key(name))).status_code


async def test_who_is_let_in(service: Service) -> None:
    assert [await status(service, name) for name in ("alice", "bob", "later")] == [200] * 3
    assert [await status(service, name) for name in ("gone", "carl", "")] == [401] * 3
    assert (await service.client.get("/v1/models", headers={"X-Api-Key": "alices key"})).status_code == 200
    assert (await service.client.get("/v1/models")).status_code == 200


async def test_a_key_can_come_and_go_while_the_service_runs(service: Service, ring: FakeNamedKeyStore) -> None:
    assert await status(service, "dora") == 401
    ring.add(key("dora"))
    assert await status(service, "dora") == 200
    ring.remove("dora")
    assert await status(service, "dora") == 401


async def test_keys_that_cannot_be_read_do_not_hold(service: Service, ring: FakeNamedKeyStore) -> None:
    ring.broken = True
    assert await status(service, "alice") == 503
    assert (await service.client.get("/v1/models")).status_code == 200
    assert (await service.client.get("/v1/models", headers={"X-Api-Key": "alices key"})).status_code == 200
    ring.broken = False
    assert await status(service, "alice") == 200


@pytest.mark.parametrize("name", ["bob", "by-id"])
async def test_a_limited_key_sees_its_agents_only(service: Service, name: str) -> None:
    listed = await service.client.get("/v1/models", headers=with_key(name))
    assert [model["id"] for model in listed.json()["data"]] == ["bert"]
    assert await status(service, name, "/v1/models/bert") == 200
    assert await status(service, name, f"/v1/models/{BERT.id}") == 200
    assert await status(service, name, "/v1/models/anna") == 404
    assert list((await service.client.get("/api/v1/status", headers=with_key(name))).json()["agents"]) == ["bert"]
    assert len((await service.client.get("/v1/models")).json()["data"]) == 2


async def test_a_limited_key_talks_to_its_agents_only(service: Service) -> None:
    for model, expected in (("bert", 200), (BERT.id, 200), (None, 200), ("", 200), ("anna", 404), (ANNA.id, 404)):
        answer = await service.client.post(CHAT, json={**question("hi"), "model": model}, headers=with_key("bob"))
        assert answer.status_code == expected, model
    assert {turn.agent.name for turn in service.gateway.delivered} == {"bert"}
    answer = await service.client.post("/api/v1/chat", json={"message": "hi", "agent": "anna"}, headers=with_key("bob"))
    assert (answer.status_code, answer.json()["error"]) == (404, "Agent not found: anna. Available: bert")


async def test_a_key_whose_agents_are_not_there(service: Service) -> None:
    assert (await service.client.get("/v1/models", headers=with_key("nobodys"))).json()["data"] == []
    answer = await service.client.post(CHAT, json={**question("hi"), "model": None}, headers=with_key("nobodys"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


async def test_a_key_without_chat_headers(service: Service) -> None:
    for name in ("alice", "silent"):
        answer = await service.client.post(CHAT, json=question(name), headers=with_key(name, X_Letta_Chat_Key="c"))
        assert answer.status_code == 200
        answer = await service.client.post(
            CHAT, json=question(name + " again"), headers={**with_key(name), "X-Letta-Chat-Key": "c"}
        )
        assert answer.status_code == 200
    in_chats = {turn.message.text: turn.conversation for turn in service.gateway.delivered if turn.message}
    assert in_chats["alice again"] is not None
    assert in_chats["silent again"] is None


async def test_who_gets_the_name_of_a_revoked_key_gets_nothing_else_of_it(
    service: Service, ring: FakeNamedKeyStore
) -> None:
    promise = {"Idempotency-Key": "same", "x-stainless-retry-count": "1"}
    job = await service.client.post(ASYNC, json={"message": "hello"}, headers={**with_key("alice"), **promise})
    place = f"{ASYNC}/{job.json()['jobId']}"
    first = await service.client.post(CHAT, json=question("hi"), headers={**with_key("alice"), **promise})
    assert [(await service.client.get(place, headers=with_key("alice"))).status_code, first.status_code] == [200, 200]
    ring.remove("alice")
    ring.add(key("alice"))
    for method in ("GET", "DELETE"):
        assert (await service.client.request(method, place, headers=with_key("alice"))).status_code == 404
    again = await service.client.post(CHAT, json=question("hi"), headers={**with_key("alice"), **promise})
    assert "idempotency-replayed" not in again.headers
    other = await service.client.post(ASYNC, json={"message": "hello"}, headers={**with_key("alice"), **promise})
    assert other.json()["jobId"] != job.json()["jobId"]
    assert service.gateway.heard.count("hi") == 2


async def test_the_main_key_sees_the_jobs_of_all_keys_also_of_those_that_are_gone(
    service: Service, ring: FakeNamedKeyStore
) -> None:
    job = await service.client.post(ASYNC, json={"message": "hello"}, headers=with_key("alice"))
    place = f"{ASYNC}/{job.json()['jobId']}"
    assert (await service.client.get(place)).status_code == 200
    ring.remove("alice")
    assert (await service.client.get(place)).status_code == 200
    assert (await service.client.get(place, headers=with_key("later"))).status_code == 404


async def chats_of(service: Service, *asked: tuple[str, str]) -> list[str | None]:
    """The conversations into which messages went, of these keys in chats of these names."""
    for name, chat in asked:
        headers = {**(with_key(name) if name else {}), "X-Letta-Chat-Key": chat}
        assert (await service.client.post(CHAT, json=question(f"{name}{chat}"), headers=headers)).status_code == 200
        native = await service.client.post("/api/v1/chat", json={"message": f"{name}{chat}"}, headers=headers)
        assert native.status_code == 200
    conversations = [turn.conversation for turn in service.gateway.delivered]
    assert conversations[::2] == conversations[1::2]
    return conversations[::2]


async def test_a_chat_of_one_key_is_none_of_another(service: Service, ring: FakeNamedKeyStore) -> None:
    old = msgspec.structs.replace(key("by-name"), id="by-name")
    ring.add(old)
    names = ["", "alice", "later", "by-name"]
    conversations = await chats_of(service, *((name, "1") for name in names))
    assert len(set(conversations)) == 4
    assert None not in conversations
    # The main key's chats are called as before keys had chats of their own.
    crafted = ["by-name 1", "by-name\t1", f"{ring.kept[0].id} 1", "alice 1", "2"]
    others = await chats_of(service, *(("", chat) for chat in crafted), *(("alice", chat) for chat in crafted))
    assert len({*others}) == 4 + 2 * len(crafted)


async def test_a_key_that_shares_chats_has_the_main_keys(service: Service, ring: FakeNamedKeyStore) -> None:
    ring.add(key("shares", share_chats=True))
    ring.add(key("also", share_chats=True))
    main, alices, shared, too = await chats_of(service, ("", "1"), ("alice", "1"), ("shares", "1"), ("also", "1"))
    assert main == shared == too != alices


async def test_a_key_of_the_same_name_has_other_chats(service: Service, ring: FakeNamedKeyStore) -> None:
    (before,) = await chats_of(service, ("alice", "1"))
    ring.remove("alice")
    ring.add(key("alice"))
    assert (await chats_of(service, ("alice", "1")))[-1] != before


async def test_the_message_ids_of_one_key_are_not_those_of_another(service: Service) -> None:
    for name in ("", "alice", "later", "alice"):
        headers = {**(with_key(name) if name else {}), "X-User-Message-Id": "1"}
        assert (await service.client.post(CHAT, json=question(f"of {name}"), headers=headers)).status_code == 200
    assert service.gateway.heard[:3] == ["of ", "of alice", "of later"]
    assert "another answer" in service.gateway.heard[3]


async def test_in_the_default_history_a_key_does_not_approve_what_another_was_asked(service: Service) -> None:
    call = ApprovalRequest("call-1", "delete_todo")
    service.gateway.answers["delete it"] = [Accepted("run"), call, Ended()]
    told = []
    for asked, answers in (("alice", "later"), ("alice", "alice"), ("alice", ""), ("", "later")):
        for name, text in ((asked, "delete it"), (answers, "/approve")):
            headers = {
                **(with_key(name) if name else {}),
                "Idempotency-Key": f"{asked} {answers} {text}".replace(" ", "-"),
            }
            assert (await service.client.post(CHAT, json=question(text), headers=headers)).status_code == 200
        verdict = service.gateway.delivered[-1].verdict
        told.append(verdict is not None and verdict.approve)
    assert told == [False, True, True, False]


async def test_a_job_goes_into_its_own_keys_chat(service: Service) -> None:
    _, alices = await chats_of(service, ("", "1"), ("alice", "1"))
    headers = {**with_key("alice"), "X-Letta-Chat-Key": "1"}
    await service.client.post(ASYNC, json={"message": "a job"}, headers=headers)
    for _ in range(500):
        if service.gateway.heard[-1] == "a job":
            break
        await asyncio.sleep(0.02)
    assert service.gateway.delivered[-1].conversation == alices


@pytest.mark.parametrize("promise", [{"Idempotency-Key": "same"}, {"X-Message-Id": "same"}, {}])
async def test_nobody_gets_the_answer_to_another_keys_request(service: Service, promise: dict[str, str]) -> None:
    for name in ("alice", "later"):
        headers = {**with_key(name), **promise, "x-stainless-retry-count": "1"}
        answer = await service.client.post(CHAT, json=question("hi"), headers=headers)
        assert answer.status_code == 200
        assert "idempotency-replayed" not in answer.headers
    assert service.gateway.heard == ["hi", "hi"]
