"""Makes an answer of whatever was raised, in OpenAI's shape. Which error means what: api_errors.py."""

from typing import Any

import msgspec
import structlog
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from domain.model.failures import FailureError
from entrypoints.http.api_errors import ApiError, internal_error, of_failure, of_status

_LONGEST_PATH = 200
_CHAT = ["chat", "completions"]

logger = structlog.get_logger(__name__)


def on_error(request: Request[Any, Any, Any], raised: Exception) -> Response[bytes]:
    """As OpenAI's clients know errors."""
    error = error_of(request, raised)
    return error_response(msgspec.json.encode(error.body), error.status, error)


ERROR_HANDLERS: ExceptionHandlersMap = {HTTPException: on_error, Exception: on_error}


def error_of(request: Request[Any, Any, Any], raised: Exception) -> ApiError:
    """What the client is told of it. A bug in this service is logged."""
    match raised:
        case ApiError():
            return raised
        case FailureError(failure=failure):
            return of_failure(failure)
        case HTTPException(status_code=status) if status < 500:
            return _of_http_exception(request, raised)
    logger.error("unexpected error", exc_info=raised)
    return internal_error()


def _of_http_exception(request: Request[Any, Any, Any], raised: HTTPException) -> ApiError:
    """What Litestar itself raises: no such path, no such method, and what it finds wrong with a request."""
    message = ""
    path = request.url.path[:_LONGEST_PATH]
    if raised.status_code == 404:
        message = f"There is nothing at {request.method} {path}{_hint(request.url.path)}"
    elif raised.status_code == 405:
        message = f"{request.method} is not allowed at {path}."
    error = of_status(raised.status_code, message)
    error.headers.update(raised.headers or {})
    return error


def _hint(path: str) -> str:
    """What is wrong with the base URL that a client was given, if that can be seen."""
    parts = path.lower().strip("/").split("/")
    if parts[:2] == ["v1", "v1"]:
        return ": /v1 stands twice in it. Give your client a base URL that ends with one /v1, or with none."
    if any(parts[index : index + 4] == [*_CHAT, *_CHAT] for index in range(len(parts))):
        return ": the path stands twice in it. Give your client a base URL that ends with /v1."
    if parts[-2:] == ["responses", "responses"]:
        return ": the path stands twice in it. Give your client a base URL that ends with /v1."
    if parts in (_CHAT, ["models"], ["responses"], ["conversations"]):
        return f". Give your client a base URL that ends with /v1: this is at /v1{path}."
    return "; GET /docs describes what there is."


def error_response(body: bytes, status: int, error: ApiError) -> Response[bytes]:
    """The whole answer: `body` is the error in the shape of one API."""
    return Response(body, status_code=status, headers=error.headers, media_type=MediaType.JSON)
