"""Clients judge errors by their words: ours must have those that are meant, and none of the others.

The rules are facts about LiteLLM (1.81 and 1.110; Aider and many more stand on it), LangChain (Python 1.7, JavaScript
1.6), pydantic-ai 2.68 and the OpenAI Agents SDK 0.24; the AI SDK looks at the status only."""

import re

import msgspec
import pytest

from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from entrypoints.http.api_errors import ApiError, internal_error, of_failure, of_status
from entrypoints.http.connection import refusals
from entrypoints.http.native.jobs import _too_long
from tests.http.conftest import Service

pytestmark = pytest.mark.anyio

# In LiteLLM's order; the first that is found decides. None: the status does.
RATE_LIMIT = re.compile(r"\b429\b|rate[\s_\-]*limit", re.IGNORECASE)
CONTEXT_WINDOW = re.compile(
    r"context_length_exceeded|maximum context length|context limit|exceeds? the (available )?context|"
    r"is longer than the model's context|input tokens exceed|string too long|prompt is too long|input too long|"
    r"maximum number of tokens|maximum input length|current length is|reduce the length of the messages|"
    r"contextwindowexceedederror|token limit|too many tokens",
    re.IGNORECASE,
)
POLICY = re.compile(r"content_policy_violation|content_filter|usage policy|safety system", re.IGNORECASE)
BY_STATUS = {
    401: "AuthenticationError",
    404: "NotFoundError",
    408: "Timeout",
    429: "RateLimitError",
    500: "InternalServerError",
    502: "BadGatewayError",
    503: "ServiceUnavailableError",
    504: "Timeout",
}
# LiteLLM and Aider do not send these again.
FINAL = {"AuthenticationError", "BadRequestError", "NotFoundError"}


def litellm_class(error: ApiError, sees_all: bool = True) -> str:
    """What LiteLLM 1.81 makes of it; newer ones look at a 401 and a 404 before they say BadRequestError.

    Of OpenAI's SDK 3 it sees the message only; of older ones, and where it asks itself (`hosted_vllm/`), all."""
    seen = msgspec.json.encode(error.body).decode() if sees_all else error.body.error.message
    words = f"Error code: {error.status} - {seen}"
    if RATE_LIMIT.search(words):
        return "RateLimitError"
    if CONTEXT_WINDOW.search(words):
        return "ContextWindowExceededError"
    if "invalid_request_error" in words and "model_not_found" in words:
        return "NotFoundError"
    if "A timeout occurred" in words:
        return "Timeout"
    if POLICY.search(words):
        return "ContentPolicyViolationError"
    if "invalid_request_error" in words and "Incorrect API key provided" not in words:
        return "BadRequestError"
    if "Request too large" in words:
        return "RateLimitError"
    return BY_STATUS.get(error.status, "APIError")


CLASSES = {
    FailureCode.BACKEND_UNAVAILABLE: "ServiceUnavailableError",
    FailureCode.BACKEND_RATE_LIMIT: "RateLimitError",
    FailureCode.DELIVERY_UNKNOWN: "BadGatewayError",
    FailureCode.CONNECTION_LOST: "BadGatewayError",
    FailureCode.UPSTREAM_AUTHENTICATION: "BadGatewayError",
    FailureCode.UPSTREAM_REDIRECT: "BadGatewayError",
    FailureCode.UPSTREAM_UNEXPECTED: "BadGatewayError",
    FailureCode.UPSTREAM_TOO_LARGE: "BadRequestError",
    FailureCode.INSUFFICIENT_QUOTA: "BadRequestError",
    FailureCode.MODEL_NOT_FOUND: "NotFoundError",
    FailureCode.CONVERSATION_BUSY: "RateLimitError",
    FailureCode.CONVERSATION_GONE: "BadRequestError",
    FailureCode.CHATS_NOT_SUPPORTED: "BadRequestError",
    FailureCode.CONVERSATION_STUCK: "BadRequestError",
    FailureCode.PREVIOUS_RESPONSE_NOT_LAST: "BadRequestError",
    FailureCode.UNSUPPORTED_CONTENT: "BadRequestError",
    FailureCode.TURN_QUEUE_FULL: "RateLimitError",
    FailureCode.TOO_MANY_JOBS: "RateLimitError",
    FailureCode.TURN_TIMEOUT: "Timeout",
    FailureCode.CANCELLED: "BadRequestError",
    FailureCode.KEY_REVOKED: "AuthenticationError",
    FailureCode.IDEMPOTENCY_KEY_CONFLICT: "BadRequestError",
    FailureCode.LLM_RATE_LIMIT: "RateLimitError",
    FailureCode.LLM_ERROR: "BadGatewayError",
    FailureCode.LLM_TIMEOUT: "BadGatewayError",
    FailureCode.LLM_AUTHENTICATION: "BadGatewayError",
    FailureCode.APPROVAL_PENDING: "BadRequestError",
    FailureCode.ANSWER_INCOMPLETE: "BadGatewayError",
    FailureCode.AGENT_ERROR: "BadGatewayError",
    FailureCode.ANSWER_INCOMPLETE: "BadGatewayError",
    FailureCode.STATE_UNAVAILABLE: "ServiceUnavailableError",
    FailureCode.SHUTTING_DOWN: "ServiceUnavailableError",
    FailureCode.INTERNAL_ERROR: "InternalServerError",
}

# (words, the statuses that may have them)
RESERVED = [
    (RATE_LIMIT, {429}),
    (CONTEXT_WINDOW, set[int]()),
    (POLICY, set[int]()),
    (re.compile(r"incorrect api key|invalid_api_key|api key not valid", re.IGNORECASE), {401}),
    (
        re.compile(r"insufficient[_ -]?(quota|credits)|quota|billing|credit balance|out of credits", re.IGNORECASE),
        {402},
    ),
    # LangChain waits as long as such words say; the Agents SDK takes these for a broken network, and sends again.
    (re.compile(r"(try again in|retry after)\s+\d|will reset at", re.IGNORECASE), set[int]()),
    (re.compile(r"connection error|network error|socket hang up|connection closed", re.IGNORECASE), set[int]()),
    (re.compile(r"overloaded", re.IGNORECASE), set[int]()),
    (re.compile(r"^(Cancel|AbortError)|litellm\.\w+Error|\bOPENAI\b"), set[int]()),
]


def own_errors() -> list[ApiError]:
    failures = [
        of_failure(Failure(code, delivery), repeated_for=600) for code in FailureCode for delivery in likely(code)
    ]
    refused = [
        refusals.invalid_http(),
        refusals.head_too_large(65536),
        refusals.head_too_slow(15),
        refusals.too_many_connections(),
        refusals.shutting_down(),
    ]
    return [*failures, *refused, internal_error(), _too_long(1000), *map(of_status, (400, 404, 405, 413, 415))]


def likely(code: FailureCode) -> list[Delivery]:
    # With a 429 nothing was delivered.
    return [Delivery.NO] if of_failure(Failure(code, Delivery.NO)).status == 429 else list(Delivery)


@pytest.mark.parametrize("code", FailureCode)
def test_each_failure_gets_the_class_that_is_meant(code: FailureCode) -> None:
    for delivery in likely(code):
        error = of_failure(Failure(code, delivery))
        assert litellm_class(error) == CLASSES[code]
        assert litellm_class(error, sees_all=False) == BY_STATUS.get(error.status, "APIError")


# A revoked key's next request fails on the key.
@pytest.mark.parametrize("code", [code for code in FailureCode if code is not FailureCode.KEY_REVOKED])
def test_what_must_not_be_sent_again_is_final_after_its_first_repetition(code: FailureCode) -> None:
    for delivery in set(likely(code)) - {Delivery.NO}:
        assert litellm_class(of_failure(Failure(code, delivery, repeated=True), 600)) in FINAL


def test_no_error_has_words_that_stand_for_another_one() -> None:
    for error in own_errors():
        for words, statuses in RESERVED:
            found = words.search(error.body.error.message) or words.search(error.body.error.code or "")
            assert not found or error.status in statuses, error.body.error


def test_quota_and_rate_limits_have_the_codes_and_words_that_clients_know() -> None:
    # LangChain and pydantic-ai give up at this code; others look for the words.
    quota = of_failure(Failure(FailureCode.INSUFFICIENT_QUOTA, Delivery.NO))
    assert (quota.status, quota.body.error.code) == (402, "insufficient_quota")
    assert quota.body.error.message.startswith("Insufficient credits")
    for code in FailureCode:
        error = of_failure(Failure(code, Delivery.NO))
        assert (error.status == 429) == (error.body.error.type == "rate_limit_error")


async def test_a_wrong_key_is_an_authentication_error_everywhere(service: Service) -> None:
    del service.client.headers["authorization"]
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-Api-Key": "wrong"}, {"Authorization": "Basic eDp5"}):
        for answer in (
            await service.client.get("/v1/models", headers=headers),
            await service.client.post("/v1/chat/completions", headers=headers, json={}),
        ):
            assert answer.status_code == 401
            error = answer.json()["error"]
            assert error["message"].startswith("Incorrect API key provided")
            assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
            words = answer.text
            assert not RATE_LIMIT.search(words)
            assert not CONTEXT_WINDOW.search(words)


async def test_an_unknown_model_is_a_model_that_is_not_found(service: Service) -> None:
    error = (await service.chat(model="nobody")).json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "model_not_found")
