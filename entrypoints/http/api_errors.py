"""Errors as OpenAI clients know them: a status, a body, and an honest `x-should-retry`."""

import math
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure

if TYPE_CHECKING:
    # Errors are told before Litestar is imported, too.
    from litestar.types import Send

INVALID_REQUEST = "invalid_request_error"
# Of a failure that is about one part of the request.
_PARAMS = {FailureCode.PREVIOUS_RESPONSE_NOT_LAST: "previous_response_id"}


class ErrorDetail(msgspec.Struct, frozen=True):
    """The inside of OpenAI's error body."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """OpenAI's error body, also as an event of a stream that has begun."""

    error: ErrorDetail


class ApiError(Exception):
    """Raised anywhere in a request; the exception handler makes the answer of it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type_: str = INVALID_REQUEST,
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = ErrorBody(ErrorDetail(message, type_, param, code))
        self.headers: dict[str, str] = {}


async def send_error(send: "Send", error: ApiError) -> None:
    """The whole answer, where no exception handler makes it."""
    body = msgspec.json.encode(error.body)
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def of_failure(failure: Failure, repeated_for: float = 0) -> ApiError:
    """The answer that tells a client of a failed turn what happened, and whether to send the message again.

    OpenAI SDKs obey `x-should-retry`: it is true only where the message surely was not delivered. Clients that ignore
    it ask again at once; for `repeated_for` seconds (without an end, if the request has an idempotency key) they get
    the same error, with a status that makes them stop."""
    status = 409 if failure.repeated else failure.info.http_status
    sentence = failure.sentence
    if repeated_for and failure.delivery is not Delivery.NO and failure.code is not FailureCode.KEY_REVOKED:
        sentence += _again(repeated_for)
    error = ApiError(status, sentence, type_=_type_of(status), param=_PARAMS.get(failure.code), code=failure.code)
    retry = failure.info.is_retryable and failure.delivery is Delivery.NO
    error.headers["x-should-retry"] = "true" if retry else "false"
    if failure.retry_after is not None:
        error.headers["Retry-After"] = str(failure.retry_after)
    return error


def _again(repeated_for: float) -> str:
    if math.isinf(repeated_for):
        return " Requests with this idempotency key get this error again; a new message needs a new one."
    return f" The same request gets this error again for {repeated_for:g} seconds; after that, it is a new message."


def of_status(status: int, message: str | None = None) -> ApiError:
    """An error that says no more than its status does."""
    phrase = message or HTTPStatus(status).phrase
    return ApiError(status, phrase, type_=_type_of(status))


def _type_of(status: int) -> str:
    """LiteLLM, and what stands on it, sends again what is of another type, even with a 402 or a 409."""
    if status == 429:
        return "rate_limit_error"
    return INVALID_REQUEST if status < 500 else "api_error"


def internal_error() -> ApiError:
    """Our own bug: no internals; the log has them under the request id."""
    error = ApiError(
        500,
        "This service made a mistake. Its log says more under the id in the X-Request-Id header of this answer.",
        type_="api_error",
        code=FailureCode.INTERNAL_ERROR,
    )
    error.headers["x-should-retry"] = "false"
    return error
