"""Makes an OpenAI-shaped answer of whatever was raised. Which error means what stands in api_errors.py."""

from typing import Any

import msgspec
import structlog
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from domain.model.failures import BackendError
from entrypoints.http.api_errors import ApiError, internal_error, of_failure, of_status

logger = structlog.get_logger(__name__)


def answer_of(error: ApiError) -> Response[bytes]:
    return Response(
        msgspec.json.encode(error.body), status_code=error.status, headers=error.headers, media_type=MediaType.JSON
    )


def on_api_error(_: Request[Any, Any, Any], error: ApiError) -> Response[bytes]:
    return answer_of(error)


def on_backend_error(_: Request[Any, Any, Any], error: BackendError) -> Response[bytes]:
    return answer_of(of_failure(error.failure))


def on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What Litestar itself raises: no such path, no such method, and what it finds wrong with a request."""
    if error.status_code >= 500:
        return on_unexpected(request, error)
    if error.status_code == 404:
        message = f"There is nothing at {request.method} {request.url.path}; GET /docs describes what there is."
    elif error.status_code == 405:
        message = f"{request.method} is not allowed at {request.url.path}."
    else:
        message = ""
    answer = of_status(error.status_code, message)
    answer.headers.update(error.headers or {})
    return answer_of(answer)


def on_unexpected(_: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    logger.error("unexpected error", exc_info=error)
    return answer_of(internal_error())


ERROR_HANDLERS: ExceptionHandlersMap = {
    ApiError: on_api_error,
    BackendError: on_backend_error,
    HTTPException: on_http_exception,
    Exception: on_unexpected,
}
