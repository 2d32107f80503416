"""Lets a request in if it carries the API key. Runs before the body is read."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request

from domain.model.api_key import ApiKey
from entrypoints.http.api_errors import ApiError


def check_of(api_key: ApiKey) -> Callable[[Request[Any, Any, Any]], Awaitable[None]]:
    """`Authorization: Bearer <key>` (any case of "bearer") or `X-Api-Key: <key>`; either will do.

    A `before_request` hook of Litestar's: before it asks a guard, Litestar copies the handler, each time. A function,
    because it makes deep copies of objects."""

    async def check(request: Request[Any, Any, Any]) -> None:
        # Compared as the bytes that were sent: a key that is not ASCII is just a wrong key.
        for name, value in request.scope["headers"]:
            if name == b"authorization":
                scheme, _blank, candidate = value.partition(b" ")
                if scheme.lower() == b"bearer" and api_key.matches(candidate.strip()):
                    return
            elif name == b"x-api-key" and api_key.matches(value.strip()):
                return
        raise _refused()

    return check


def _refused() -> ApiError:
    error = ApiError(
        401,
        "The API key is missing or wrong. Send it as 'Authorization: Bearer <key>' or as 'X-Api-Key: <key>'; "
        "'lettabot key show' prints it.",
        code="invalid_api_key",
    )
    error.headers["WWW-Authenticate"] = "Bearer"
    return error
