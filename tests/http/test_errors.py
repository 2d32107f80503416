"""Every error has OpenAI's shape, an id, and a status that tells the truth."""

import pytest

from domain.model.agent import Agent
from domain.model.events import Accepted, Text
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.turn_rules import TurnRules
from entrypoints.http.api_errors import of_failure
from tests.fakes.gateway import FakeGateway
from tests.http.conftest import Service, Start

pytestmark = pytest.mark.anyio

UNREACHABLE = Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO, "refused", retry_after=5)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/embeddings", 404),
        ("GET", "/v1/models/nobody", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models", 405),
        ("PUT", "/health", 405),
        ("GET", "/v1/../etc/passwd", 404),
    ],
)
async def test_what_is_not_there(service: Service, method: str, path: str, status: int) -> None:
    answer = await service.client.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answer.headers["x-request-id"].startswith("req_")
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    ("method", "path", "hint"),
    [
        ("POST", "/v1/v1/chat/completions", "/v1 stands twice"),
        ("GET", "/v1/v1/models", "/v1 stands twice"),
        ("GET", "//v1/v1/models/", "/v1 stands twice"),
        ("GET", "/v1/V1/models?x=1", "/v1 stands twice"),
        ("POST", "/v1/chat/completions/chat/completions", "stands twice"),
        ("POST", "/chat/completions", "ends with /v1"),
        ("GET", "/models", "ends with /v1"),
        ("POST", "/responses", "ends with /v1"),
        ("POST", "/v1/chat/responses/responses", "stands twice"),
        ("GET", "/v1/nothing", "GET /docs"),
    ],
)
async def test_a_wrong_base_url_is_told(service: Service, method: str, path: str, hint: str) -> None:
    answer = await service.client.request(method, service.url + path)
    assert answer.status_code == 404
    assert hint in answer.json()["error"]["message"]


async def test_long_names_are_neither_looked_up_nor_told(service: Service) -> None:
    for name in ("x" * 501, "\U0001f600" * 501, "x" * 1_000_000, "nul\0"):
        answer = await service.chat(model=name)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
        native = await service.client.post("/api/v1/chat", json={"message": "hello", "agent": name})
        assert native.status_code == 404
        assert len(native.text) < 1000
    assert (await service.client.get(f"/v1/models/{'x' * 5000}")).status_code == 404
    assert len((await service.client.get(f"/{'x' * 5000}")).text) < 1000
    assert service.gateway.lookups == []
    assert (await service.chat(model="x" * 500)).status_code == 404
    assert service.gateway.lookups == ["x" * 500]


async def test_an_unknown_model_has_openais_code(service: Service) -> None:
    for answer in (await service.client.get("/v1/models/nobody"), await service.chat(model="nobody")):
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "model_not_found"
        assert answer.headers["x-should-retry"] == "false"
    assert service.gateway.lookups == ["nobody"]


async def test_a_sane_request_id_is_kept_and_another_is_not(service: Service) -> None:
    kept = await service.client.get("/health", headers={"X-Request-Id": "abc-123"})
    assert kept.headers["x-request-id"] == "abc-123"
    for odd in (b"a b", b"x" * 200, "ü".encode(), b"a\tb"):
        made = await service.client.get("/health", headers=[(b"X-Request-Id", odd)])
        assert made.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("code", "status", "retry"),
    [
        (FailureCode.BACKEND_UNAVAILABLE, 503, "true"),
        (FailureCode.DELIVERY_UNKNOWN, 502, "false"),
        (FailureCode.BACKEND_RATE_LIMIT, 429, "true"),
        (FailureCode.UPSTREAM_AUTHENTICATION, 502, "false"),
        (FailureCode.UPSTREAM_REDIRECT, 502, "false"),
        (FailureCode.UPSTREAM_UNEXPECTED, 502, "false"),
        (FailureCode.UPSTREAM_TOO_LARGE, 413, "false"),
        (FailureCode.INSUFFICIENT_QUOTA, 402, "false"),
        (FailureCode.MODEL_NOT_FOUND, 404, "false"),
        (FailureCode.CONVERSATION_BUSY, 429, "true"),
        (FailureCode.LLM_RATE_LIMIT, 429, "true"),
        (FailureCode.LLM_ERROR, 502, "false"),
        (FailureCode.LLM_TIMEOUT, 502, "false"),
        (FailureCode.LLM_AUTHENTICATION, 502, "false"),
        (FailureCode.APPROVAL_PENDING, 409, "false"),
        (FailureCode.TURN_TIMEOUT, 504, "false"),
        (FailureCode.CANCELLED, 409, "false"),
        (FailureCode.AGENT_ERROR, 502, "false"),
        (FailureCode.INTERNAL_ERROR, 500, "false"),
    ],
)
async def test_a_turn_that_fails_before_its_first_event_is_an_http_error(
    start: Start, stream: bool, code: FailureCode, status: int, retry: str
) -> None:
    failure = Failure(code, Delivery.NO, "provider's raw text", retry_after=7)
    service = await start(FakeGateway(answers={"hello": [failure]}), rules=TurnRules(busy_timeout=0))
    answer = await service.chat(stream=stream)
    assert answer.status_code == status
    assert answer.headers["x-should-retry"] == retry
    if code is not FailureCode.CONVERSATION_BUSY:
        # For that one it is an estimate.
        assert answer.headers["retry-after"] == "7"
    assert answer.json()["error"]["code"] == code
    assert "raw text" not in answer.text


async def test_every_failure_has_a_status_a_type_and_a_sentence() -> None:
    for code in FailureCode:
        error = of_failure(Failure(code, Delivery.UNKNOWN))
        assert 400 <= error.status < 600
        assert error.headers["x-should-retry"] == "false"
        assert error.body.error.message.endswith("before you send it again.")


async def test_a_detail_says_more_than_the_code(start: Start) -> None:
    gateway = FakeGateway()
    gateway.down = Failure(FailureCode.UPSTREAM_REDIRECT, Delivery.NO, "307", detail="It redirects to http://b.")
    service = await start(gateway)
    for answer in (await service.chat(), await service.client.get("/v1/models")):
        assert answer.status_code == 502
        assert answer.json()["error"]["message"] == "It redirects to http://b. Nothing was delivered."
    report = (await service.client.get("/health/ready")).json()
    assert (report["ready"], report["code"]) == (False, "upstream_redirect")
    assert "It redirects to http://b." in report["message"]


async def test_a_turn_that_fails_later_ends_its_stream_with_an_error_event(start: Start) -> None:
    failure = Failure(FailureCode.LLM_ERROR, Delivery.YES)
    service = await start(FakeGateway(answers={"hello": [Accepted("run-1"), Text("so far"), 0.05, failure]}))
    answer = await service.chat(stream=True)
    assert answer.status_code == 200
    *_, error, done, _ = answer.text.split("\n\n")
    assert '"code":"llm_error"' in error
    assert error.startswith('data: {"error":{')
    assert done == "data: [DONE]"
    assert "so far" in answer.text
    sync = await service.chat()
    assert sync.status_code == 502


async def test_an_agent_that_vanished_is_taken_off_the_roster(service: Service) -> None:
    assert len((await service.client.get("/v1/models")).json()["data"]) == 2
    service.gateway.known.pop(0)
    assert (await service.chat()).status_code == 404
    names = [model["id"] for model in (await service.client.get("/v1/models")).json()["data"]]
    assert names == ["bert"]


async def test_a_backend_that_is_down_is_a_503_until_it_is_back(start: Start) -> None:
    gateway = FakeGateway()
    gateway.down = UNREACHABLE
    service = await start(gateway)
    for answer in (await service.client.get("/v1/models"), await service.chat()):
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert answer.json()["error"]["code"] == "backend_unavailable"
    gateway.down = None
    assert (await service.chat()).status_code == 200
    assert len(gateway.delivered) == 1


async def test_a_bug_shows_no_internals(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeGateway):
        async def agents(self) -> list[Agent]:
            raise ValueError("secret internals")

    service = await start(Broken())
    answer = await service.chat()
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "secret internals" not in answer.text


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("APPLICATION/JSON; charset=utf-8", 200),
        ("application/vnd.api+json", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ],
)
async def test_content_types(service: Service, content_type: str, status: int) -> None:
    body = b'{"messages":[{"role":"user","content":"hello"}]}'
    answer = await service.client.post(
        "/v1/chat/completions", content=body, headers={"Content-Type": content_type} if content_type else {}
    )
    assert answer.status_code == status
