"""GET /v1/models, /health, /docs, and CORS."""

import re
from typing import Any
from urllib.parse import quote, urljoin

import pytest
from litestar.openapi.spec import OpenAPI

from domain.model.agent import Agent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from tests.fakes.gateway import ANNA, BERT, FakeGateway
from tests.http.conftest import Service, Start

pytestmark = pytest.mark.anyio


async def test_the_agents_are_models(service: Service) -> None:
    answer = await service.client.get("/v1/models")
    assert answer.json() == {
        "object": "list",
        "data": [
            {"id": agent.name, "object": "model", "created": agent.created_at, "owned_by": "lettabot"}
            for agent in (ANNA, BERT)
        ],
    }


@pytest.mark.parametrize("path", ["/v1/models/", "/v1/models?limit=1", "/v1/models/?a=b", "//v1/models"])
async def test_trailing_slashes_and_queries_do_no_harm(service: Service, path: str) -> None:
    answer = await service.client.get(service.url + path)
    assert answer.json()["object"] == "list"


async def test_chat_with_a_trailing_slash_and_a_query(service: Service) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}]}
    assert (await service.client.post("/v1/chat/completions/?api-version=1", json=body)).status_code == 200


@pytest.mark.parametrize(
    "name", ["a/b", "a b", "ünï", "50%", "a/b/c", "a?b", "a#b", "%2F", "x/", "a//b", "v1/models/y"]
)
async def test_any_name_can_be_asked_for(start: Start, name: str) -> None:
    service = await start(FakeGateway([Agent("agent-1", name, 7)]))
    answer = await service.client.get(f"/v1/models/{quote(name, safe='')}")
    assert answer.json() == {"id": name, "object": "model", "created": 7, "owned_by": "lettabot"}
    assert (await service.client.get("/v1/models/agent-1")).json()["id"] == name


async def test_slashes_need_not_be_encoded(start: Start) -> None:
    service = await start(FakeGateway([Agent("agent-1", "a/b", 7)]))
    assert (await service.client.get("/v1/models/a/b")).json()["id"] == "a/b"
    assert (await service.client.get("/v1/models/a/b/")).json()["id"] == "a/b"


async def test_head_is_answered_where_get_is(service: Service) -> None:
    refused = await service.client.head("/v1/chat/completions")
    assert refused.status_code == 405
    assert set(refused.headers["allow"].split(", ")) == {"OPTIONS", "POST"}
    for path in ("/", "/health", "/health/ready", "/v1/models", "/v1/models/anna"):
        answer = await service.client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("path", ["/", "/health"])
async def test_alive(service: Service, path: str) -> None:
    answer = await service.client.get(path)
    assert answer.text == "ok"
    assert answer.headers["content-type"].startswith("text/plain")


async def test_ready(service: Service) -> None:
    report = (await service.client.get("/health/ready")).json()
    can = [
        "check credential",
        "find by name",
        "stop runs",
        "records of runs",
        "deduplicate",
        "conversations",
        "list of conversations",
        "names of conversations",
        "forks",
        "approvals",
        "history",
    ]
    backends = {"fake": {"ready": True, "mode": "docker", "can": can}}
    assert report == {"ready": True, "mode": "docker", "agents": 2, "backends": backends}


async def test_not_ready_says_why(start: Start) -> None:
    gateway = FakeGateway()
    gateway.down = Failure(FailureCode.UPSTREAM_AUTHENTICATION, Delivery.NO, "401")
    service = await start(gateway)
    answer = await service.client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    assert answer.json()["code"] == "upstream_authentication"


async def test_the_docs_page_needs_no_internet(service: Service) -> None:
    page = (await service.client.get("/docs")).text
    assert "://cdn" not in page
    assert "jsdelivr" not in page
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "swagger-ui-standalone-preset.js", "favicon-32x32.png"):
        assert f"/docs-assets/{asset}" in page
        assert (await service.client.get(f"/docs-assets/{asset}")).status_code == 200


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
async def test_the_docs_page_may_be_behind_a_prefix(service: Service, path: str) -> None:
    seen_at = f"https://example.org/some/prefix{path}"
    page = (await service.client.get(path)).text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(links) == 4
    for link in links:
        assert urljoin(seen_at, link).startswith("https://example.org/some/prefix/docs-assets/")
    [server] = re.findall(r'"servers":\[\{"url":"([^"]+)"', page)
    assert urljoin(seen_at, f"{server}/v1/models") == "https://example.org/some/prefix/v1/models"


async def test_the_description_may_be_behind_a_prefix(service: Service) -> None:
    [server] = (await service.client.get("/openapi.json")).json()["servers"]
    assert urljoin("https://example.org/prefix/openapi.json", server["url"] + "/v1") == "https://example.org/prefix/v1"


async def test_the_api_is_described(service: Service) -> None:
    document = (await service.client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    chat = document["paths"]["/v1/chat/completions"]["post"]
    assert set(chat["requestBody"]["content"]["application/json"]["examples"]) == {"sync", "stream"}
    assert {"200", "400", "401", "404", "429", "502", "503"} <= set(chat["responses"])
    assert {"/v1/models", "/v1/models/{model}", "/health", "/health/ready"} <= set(document["paths"])


async def test_the_description_is_made_once(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[OpenAPI] = []
    to_schema = OpenAPI.to_schema

    def counted(self: OpenAPI) -> dict[str, Any]:
        made.append(self)
        return to_schema(self)

    monkeypatch.setattr(OpenAPI, "to_schema", counted)
    first, *others = [await service.client.get("/openapi.json") for _ in range(3)]
    assert first.headers["content-type"] == "application/json"
    assert [other.content for other in others] == [first.content] * 2
    assert len(made) == 1


async def test_without_an_origin_configured_there_is_no_cors_header(service: Service) -> None:
    answer = await service.client.get("/v1/models", headers={"Origin": "https://app.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


ORIGIN = "https://app.example"
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-api-key,x-stainless-lang,x-stainless-retry-count",
}


async def test_exactly_the_configured_origin_is_allowed(start: Start) -> None:
    service = await start(cors_origins=[ORIGIN])
    for path, status in (("/v1/models", 200), ("/v1/nothing", 404)):
        answer = await service.client.get(path, headers={"Origin": ORIGIN})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "origin" in answer.headers["vary"].lower()
        exposed = answer.headers["access-control-expose-headers"].lower()
        assert {"x-request-id", "retry-after", "x-should-retry"} <= {name.strip() for name in exposed.split(",")}
    refused = await service.client.get("/v1/models", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in refused.headers
    service.client.headers.pop("authorization")
    denied = await service.client.get("/v1/models", headers={"Origin": ORIGIN})
    assert (denied.status_code, denied.headers["access-control-allow-origin"]) == (401, ORIGIN)


async def test_the_preflight_allows_what_was_asked_for(start: Start) -> None:
    service = await start(cors_origins=[ORIGIN])
    service.client.headers.pop("authorization")
    answer = await service.client.options("/v1/chat/completions", headers=PREFLIGHT)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "origin" in answer.headers["vary"].lower()
    allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert set(PREFLIGHT["Access-Control-Request-Headers"].split(",")) <= allowed
    assert "POST" in answer.headers["access-control-allow-methods"]


async def test_there_may_be_several_origins(start: Start) -> None:
    service = await start(cors_origins=[ORIGIN, "http://localhost:3000"])
    for origin in (ORIGIN, "http://localhost:3000"):
        answer = await service.client.get("/v1/models", headers={"Origin": origin})
        assert answer.headers["access-control-allow-origin"] == origin
        preflight = await service.client.options("/v1/chat/completions", headers={**PREFLIGHT, "Origin": origin})
        assert preflight.headers["access-control-allow-origin"] == origin
    refused = await service.client.get("/v1/models", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in refused.headers


async def test_any_origin(start: Start) -> None:
    service = await start(cors_origins=["*"])
    answer = await service.client.get("/v1/models", headers={"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == "*"
    preflight = await service.client.options("/v1/chat/completions", headers=PREFLIGHT)
    assert preflight.headers["access-control-allow-origin"] == "*"
