"""Lets a request in if it carries the API key. Runs before the body is read."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from domain.model.api_key import ApiKey
from entrypoints.http.api_errors import ApiError


class ApiKeyGuard:
    """A Litestar guard: `Authorization: Bearer <key>` (any case of "bearer") or `X-Api-Key: <key>`; either will do."""

    def __init__(self, api_key: ApiKey) -> None:
        self._api_key = api_key

    def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        # Compared as the bytes that were sent: a key that is not ASCII is just a wrong key.
        for name, value in connection.scope["headers"]:
            if name == b"authorization":
                scheme, _blank, candidate = value.partition(b" ")
                if scheme.lower() == b"bearer" and self._api_key.matches(candidate.strip()):
                    return
            elif name == b"x-api-key" and self._api_key.matches(value.strip()):
                return
        raise _refused()


def _refused() -> ApiError:
    error = ApiError(
        401,
        "The API key is missing or wrong. Send it as 'Authorization: Bearer <key>' or as 'X-Api-Key: <key>'; "
        "'lettabot key show' prints it.",
        code="invalid_api_key",
    )
    error.headers["WWW-Authenticate"] = "Bearer"
    return error
