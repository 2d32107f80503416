"""Who is let in."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.gateway import FakeGateway
from tests.http.conftest import KEY, Service, running

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[Service]:
    """One service for all these tests: they leave nothing behind."""
    async with running(FakeGateway()) as service:
        yield service


@pytest.fixture
def service(shared: Service) -> Service:
    shared.client.headers["authorization"] = f"Bearer {KEY}"
    return shared


RIGHT = [
    {"Authorization": f"Bearer {KEY}"},
    {"Authorization": f"bearer {KEY}"},
    {"Authorization": f"BEARER  {KEY}"},
    {"X-Api-Key": KEY},
    {"X-Api-Key": KEY, "Authorization": "Bearer stale"},
    {"X-Api-Key": "stale", "Authorization": f"Bearer {KEY}"},
    {"X-Api-Key": "", "Authorization": f"Bearer {KEY}"},
    {"Authorization": f"Bearer\t{KEY}"},
    {"Authorization": f"Bearer Bearer {KEY}"},
    {"Authorization": f"bearer  \tBearer BEARER {KEY}"},
    {"X-Api-Key": f"Bearer {KEY}"},
    {"Api-Key": KEY},
    {"api-key": KEY, "Authorization": "Bearer stale"},
    {"api-key": "stale", "X-Api-Key": "stale", "Authorization": f"Bearer {KEY}"},
]
WRONG = [
    {},
    {"Authorization": KEY},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer Bearer"},
    {"Authorization": f"Bearer{KEY}"},
    {"Api-Key": "stale"},
    {"Authorization": f"Basic {KEY}"},
    {"Authorization": f"Bearer {KEY}x"},
    {"Authorization": "Bearer kläy".encode()},
    {"X-Api-Key": b"\xff\xfe"},
]


@pytest.mark.parametrize("headers", RIGHT)
async def test_either_right_key_is_enough(service: Service, headers: dict[str, str]) -> None:
    service.client.headers.pop("authorization")
    answer = await service.client.get("/v1/models", headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("headers", WRONG)
@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/anna", "/v1/chat/completions"])
async def test_without_a_right_key_nothing_is_told(service: Service, headers: dict[str, str], path: str) -> None:
    service.client.headers.pop("authorization")
    method = "POST" if "chat" in path else "GET"
    answer = await service.client.request(method, path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "invalid_api_key", None)
    assert KEY not in answer.text


async def test_two_keys_of_which_one_is_right(service: Service) -> None:
    service.client.headers.pop("authorization")
    headers = [("X-Api-Key", "wrong"), ("X-Api-Key", KEY)]
    assert (await service.client.get("/v1/models", headers=headers)).status_code == 200


async def test_the_key_is_checked_before_the_body(service: Service) -> None:
    answer = await service.client.post(
        "/v1/chat/completions", content=b"{ no json", headers={"Authorization": "Bearer wrong"}
    )
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/", "/health", "/health/ready", "/docs", "/openapi.json"])
async def test_what_is_open_to_everybody(service: Service, path: str) -> None:
    service.client.headers.pop("authorization")
    assert (await service.client.get(path)).status_code == 200


async def test_what_is_for_one_caller_is_kept_by_no_cache(service: Service) -> None:
    asked = {"model": "anna", "messages": [{"role": "user", "content": "hello"}]}
    answers = [
        await service.client.get("/v1/models"),
        await service.client.get("/v1/models/anna"),
        await service.client.get("/v1/models/nobody"),
        await service.client.get("/v1/nothing"),
        await service.client.get("/api/v1/status"),
        await service.client.post("/v1/chat/completions", json=asked),
        await service.client.post("/v1/chat/completions", json={}),
        await service.client.post("/api/v1/chat", json={"message": "hello"}),
        await service.client.post("/api/v1/chat/async", json={"message": "hello"}),
        await service.client.get("/api/v1/chat/async/job_0"),
        await service.client.get("/v1/models", headers={"Authorization": "Bearer wrong"}),
    ]
    for answer in answers:
        assert answer.headers.get_list("cache-control") == ["no-store"], answer.url


async def test_streams_and_what_is_for_everybody_are_as_they_were(service: Service) -> None:
    stream = await service.client.post(
        "/v1/chat/completions", json={"messages": [{"role": "user", "content": "hello"}], "stream": True}
    )
    assert stream.headers.get_list("cache-control") == ["no-cache"]
    for path in ("/health", "/docs", "/openapi.json"):
        assert "no-store" not in (await service.client.get(path)).headers.get("cache-control", "")
