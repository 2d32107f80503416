"""One WebSocket to the App Server: it asks questions and waits for their answers; all other frames are handed on."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from adapters.letta_code.failures import unavailable
from adapters.letta_code.frames import Frame, Runtime, decoder, encoder, is_answer, is_skipped
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError

# Seconds.
OPENED_WITHIN = 5.0
ANSWERED_WITHIN = 30.0
# What a server sends at most in one frame: a long history.
LARGEST_FRAME = 256_000_000

logger = logging.getLogger(__name__)


class SocketLostError(Exception):
    """The socket closed before the answer came: what was sent may have arrived or not."""


class AppServerSocket:
    """`on_frame` gets the bytes of each frame that is no answer; `on_lost` is called once, when it is closed."""

    def __init__(
        self,
        connection: ClientConnection,
        on_frame: Callable[["AppServerSocket", bytes], None],
        on_lost: Callable[["AppServerSocket"], None],
    ) -> None:
        self._connection = connection
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._numbers = itertools.count(1)
        self._asked: dict[str, asyncio.Future[Frame]] = {}
        self.is_open = True
        self.subscribed: set[Runtime] = set()
        """To which conversations."""
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def open(
        cls,
        url: str,
        token: str | None,
        on_frame: Callable[["AppServerSocket", bytes], None],
        on_lost: Callable[["AppServerSocket"], None],
    ) -> "AppServerSocket":
        """Raises `FailureError`."""
        headers = {"Authorization": f"Bearer {token}"} if token else None
        try:
            opening = connect(
                f"{url}/ws",
                additional_headers=headers,
                open_timeout=OPENED_WITHIN,
                close_timeout=1.0,
                max_size=LARGEST_FRAME,
                # Answers come token by token: compressing each costs more than it saves.
                compression=None,
            )
            # The token is for this address only.
            opening.process_redirect = _refuse_redirect  # type: ignore[method-assign]
            connection = await opening
        except InvalidStatus as error:
            raise FailureError(_refused(error.response.status_code)) from error
        except (OSError, TimeoutError, WebSocketException, EOFError, ImportError, ValueError) as error:
            # The last two are of a proxy in the environment that cannot be used.
            raise unavailable(f"Letta Code does not answer: {type(error).__name__}") from error
        return cls(connection, on_frame, on_lost)

    async def ask(self, kind: str, within: float = ANSWERED_WITHIN, **fields: Any) -> Frame:
        """Send a question, and return its answer. Raises `SocketLostError`; `TimeoutError`: what the server does not
        understand it does not answer."""
        request_id = f"r-{next(self._numbers)}"
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._asked[request_id] = answer
        try:
            async with asyncio.timeout(within):
                await self._send({"type": kind, "request_id": request_id, **fields})
                return await answer
        finally:
            del self._asked[request_id]

    async def close(self) -> None:
        self._reading.cancel()
        await self._connection.close()
        self._lost()

    async def _send(self, frame: dict[str, Any]) -> None:
        try:
            await self._connection.send(encoder.encode(frame), text=True)
        except (WebSocketException, OSError) as error:
            raise SocketLostError from error

    async def _read(self) -> None:
        try:
            while True:
                raw = await self._connection.recv(decode=False)
                if not is_skipped(raw):
                    self._take(raw)
        except (WebSocketException, OSError, EOFError):
            pass
        except Exception:
            logger.exception("A frame of Letta Code could not be handled, because of a bug in this service")
        finally:
            self._lost()

    def _take(self, raw: bytes) -> None:
        if is_answer(raw):
            try:
                frame = decoder.decode(raw)
            except msgspec.DecodeError:
                logger.warning("An answer of Letta Code could not be read")
                return
            if (asked := self._asked.get(frame.request_id or "")) is not None and not asked.done():
                asked.set_result(frame)
            return
        self._on_frame(self, raw)

    def _lost(self) -> None:
        if not self.is_open:
            return
        self.is_open = False
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(SocketLostError())
        self._on_lost(self)


def _refuse_redirect(exc: Exception) -> Exception | str:
    return exc


def _refused(status: int) -> Failure:
    if status in (401, 403):
        return Failure(FailureCode.UPSTREAM_AUTHENTICATION, Delivery.NO, f"Letta Code answered {status}")
    if 300 <= status < 400:
        return Failure(FailureCode.UPSTREAM_REDIRECT, Delivery.NO, f"Letta Code's address answered {status}")
    return Failure(FailureCode.UPSTREAM_UNEXPECTED, Delivery.NO, f"no App Server answered, but a {status}")
