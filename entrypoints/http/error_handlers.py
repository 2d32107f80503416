"""Makes an answer of whatever was raised, in OpenAI's shape or in LettaBot's. Which error means what: api_errors.py."""

from typing import Any

import msgspec
import structlog
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from domain.model.failures import FailureError
from entrypoints.http.api_errors import ApiError, internal_error, of_failure, of_status
from entrypoints.http.native_events import NativeError

_LONGEST_PATH = 200
_CHAT = ["chat", "completions"]

logger = structlog.get_logger(__name__)


def on_error(request: Request[Any, Any, Any], raised: Exception) -> Response[bytes]:
    """As OpenAI's clients know errors."""
    error = _error_of(request, raised)
    return _response(msgspec.json.encode(error.body), error.status, error)


def on_native_error(request: Request[Any, Any, Any], raised: Exception) -> Response[bytes]:
    """As LettaBot's own clients know them: in the same words, and 400 where OpenAI's get 415."""
    return _native(_error_of(request, raised), with_code=False)


def on_job_error(request: Request[Any, Any, Any], raised: Exception) -> Response[bytes]:
    """As whoever leaves jobs knows them: LettaBot had no codes, but reports of jobs have."""
    return _native(_error_of(request, raised), with_code=True)


ERROR_HANDLERS: ExceptionHandlersMap = {HTTPException: on_error, Exception: on_error}
NATIVE_ERROR_HANDLERS: ExceptionHandlersMap = {HTTPException: on_native_error, Exception: on_native_error}
JOB_ERROR_HANDLERS: ExceptionHandlersMap = {HTTPException: on_job_error, Exception: on_job_error}


def _error_of(request: Request[Any, Any, Any], raised: Exception) -> ApiError:
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
    if parts in (_CHAT, ["models"]):
        return f". Give your client a base URL that ends with /v1: this is at /v1{path}."
    return "; GET /docs describes what there is."


def _native(error: ApiError, with_code: bool) -> Response[bytes]:
    code = error.body.error.code if with_code else None
    body = msgspec.json.encode(NativeError(error.body.error.message, code=code or msgspec.UNSET))
    return _response(body, 400 if error.status == 415 else error.status, error)


def _response(body: bytes, status: int, error: ApiError) -> Response[bytes]:
    return Response(body, status_code=status, headers=error.headers, media_type=MediaType.JSON)
