"""Makes an answer of whatever was raised, in LettaBot's shape."""

from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from entrypoints.http.api_errors import ApiError
from entrypoints.http.error_handlers import error_of, error_response
from entrypoints.http.native.events import NativeError


def on_native_error(request: Request[Any, Any, Any], raised: Exception) -> Response[bytes]:
    """As LettaBot's own clients know errors: in the words that OpenAI's get, and 400 where those get 415."""
    return _response(error_of(request, raised), with_code=False)


def on_coded_error(request: Request[Any, Any, Any], raised: Exception) -> Response[bytes]:
    """The same with codes, which LettaBot's own endpoints had not: for jobs, and for what is newer than LettaBot."""
    return _response(error_of(request, raised), with_code=True)


NATIVE_ERROR_HANDLERS: ExceptionHandlersMap = {HTTPException: on_native_error, Exception: on_native_error}
CODED_ERROR_HANDLERS: ExceptionHandlersMap = {HTTPException: on_coded_error, Exception: on_coded_error}


def _response(error: ApiError, with_code: bool) -> Response[bytes]:
    code = error.body.error.code if with_code else None
    body = msgspec.json.encode(NativeError(error.body.error.message, code=code or msgspec.UNSET))
    return error_response(body, 400 if error.status == 415 else error.status, error)
