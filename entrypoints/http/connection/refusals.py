"""The errors of requests that are refused before anybody has looked into them."""

from domain.model.failure_table import FailureCode
from entrypoints.http.api_errors import INVALID_REQUEST, ApiError

# Seconds after which there may be room again.
_COME_BACK = 2


def invalid_http(what: str = "This is not a valid HTTP request.") -> ApiError:
    return _refusal(400, what, "invalid_http", False)


def unsupported_version() -> ApiError:
    return _refusal(505, "Send HTTP/1.1 or HTTP/1.0.", "invalid_http", False)


def head_too_large(limit: int) -> ApiError:
    sentence = f"The URL and the headers of a request have {limit:,} bytes at most. Nothing was delivered."
    return _refusal(431, sentence, "request_head_too_large", False)


def head_too_slow(seconds: float) -> ApiError:
    sentence = f"The URL and the headers of the request did not come within {seconds:g} seconds. Nothing was delivered."
    return _refusal(408, sentence, "request_timeout", True)


def too_many_connections() -> ApiError:
    sentence = "This service has as many connections as it may open files for; come back in a moment."
    error = _refusal(503, f"{sentence} Nothing was delivered.", "too_many_connections", True)
    error.headers["Retry-After"] = str(_COME_BACK)
    return error


def shutting_down() -> ApiError:
    sentence = "This service is shutting down. Nothing was delivered."
    return _refusal(503, sentence, FailureCode.SHUTTING_DOWN, True)


def _refusal(status: int, message: str, code: str, worth_a_retry: bool) -> ApiError:
    error = ApiError(status, message, type_=INVALID_REQUEST if status < 500 else "api_error", code=code)
    error.headers["x-should-retry"] = "true" if worth_a_retry else "false"
    return error
