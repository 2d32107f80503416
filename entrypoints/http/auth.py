"""Lets a request in if it carries an API key, and says whose. Runs before the body is read."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request
from litestar.types import Scope

from domain.model.api_key import Caller
from domain.model.failures import FailureError
from domain.services.api_keys import ApiKeys
from entrypoints.http.api_errors import ApiError
from entrypoints.http.request_log import request_log_of

_HEADERS = frozenset((b"authorization", b"x-api-key", b"api-key"))
# People put it where the client has put it already, too.
_BEARER = re.compile(rb"[ \t]*+(?:bearer[ \t]++)++", re.IGNORECASE)


def check_of(keys: ApiKeys) -> Callable[[Request[Any, Any, Any]], Awaitable[None]]:
    """`Authorization: Bearer <key>` (any case of "bearer"), `X-Api-Key: <key>` or, as Azure's clients send it,
    `api-key: <key>`; one right one is enough.

    A `before_request` hook of Litestar's: before it asks a guard, Litestar copies the handler, each time. A function,
    because it makes deep copies of objects."""

    async def check(request: Request[Any, Any, Any]) -> None:
        request_log = request_log_of(request.scope)
        request_log.private = True
        cannot_be_known: FailureError | None = None
        # Compared as the bytes that were sent: a key that is not ASCII is just a wrong key.
        for name, value in request.scope["headers"]:
            if name not in _HEADERS:
                continue
            scheme = _BEARER.match(value)
            if scheme is None and name == b"authorization":
                continue
            candidate = value[scheme.end() :] if scheme else value
            try:
                caller = await keys.caller(candidate.strip())
            except FailureError as error:
                cannot_be_known = error
                continue
            if caller is not None:
                request.scope["state"].update(caller=caller, keys=keys)
                request_log.key = caller.name or None
                return
        raise cannot_be_known or _refused()

    return check


def caller_of(scope: Scope) -> Caller:
    """Of a request that was let in."""
    caller = scope["state"]["caller"]
    assert isinstance(caller, Caller)  # noqa: S101
    return caller


async def check_again(scope: Scope) -> None:
    """Whether the key still holds: a body may take its time, and keys can be revoked. Raises as the first check did."""
    caller = caller_of(scope)
    if caller.id and await scope["state"]["keys"].holder(caller.id) is None:
        raise _refused()


def _refused() -> ApiError:
    error = ApiError(
        401,
        # OpenAI's own words: LiteLLM takes a 401 of this type without them for a bad request.
        "Incorrect API key provided, or none. Send it as 'Authorization: Bearer <key>' or as 'X-Api-Key: <key>'; "
        "'lettabot key show' prints it.",
        code="invalid_api_key",
    )
    error.headers["WWW-Authenticate"] = "Bearer"
    return error
