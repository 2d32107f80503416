"""The errors of requests that are refused before anybody has looked into them."""

from domain.model.failures import FailureCode
from entrypoints.http.api_errors import ApiError


def shutting_down() -> ApiError:
    return _nothing_was_delivered(
        503, "This service is shutting down. Nothing was delivered.", FailureCode.SHUTTING_DOWN
    )


def _nothing_was_delivered(status: int, message: str, code: str) -> ApiError:
    error = ApiError(status, message, type_="api_error", code=code)
    error.headers["x-should-retry"] = "true"
    return error
