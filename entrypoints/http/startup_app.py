"""Answers while the service is still starting: it is alive, and whoever wants more has to wait a moment."""

import asyncio
from typing import TYPE_CHECKING

from entrypoints.http.api_errors import send_error
from entrypoints.http.connection.refusals import shutting_down

if TYPE_CHECKING:
    # Litestar itself is one of the things that take time to import.
    from litestar.types import ASGIApp, Receive, Scope, Send


class StartupApp:
    """An ASGI application in front of the real one, whose backend takes longer to import than all the rest."""

    def __init__(self) -> None:
        self._app: asyncio.Future[ASGIApp] = asyncio.get_running_loop().create_future()

    def open(self, app: "ASGIApp") -> None:
        """From now on `app` answers, also those who have waited."""
        self._app.set_result(app)

    def give_up(self) -> None:
        """If it was never opened: the service ends before it has begun, and those who have waited are told so."""
        if not self._app.done():
            self._app.set_result(_send_shutting_down)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if not self._app.done() and scope["path"] == "/health":
            await _send_alive(send)
        else:
            app = await self._app
            await app(scope, receive, send)


async def _send_alive(send: "Send") -> None:
    """As health.py answers."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok", "more_body": False})


async def _send_shutting_down(_: "Scope", __: "Receive", send: "Send") -> None:
    await send_error(send, shutting_down())
