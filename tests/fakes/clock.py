"""An event loop in virtual time: when nothing is ready, the clock jumps to the next timer. Waits take no time."""

import asyncio
import selectors
from typing import Any


class NothingToWaitForError(Exception):
    """The loop would sleep for ever: nothing is ready, and no timer is set."""


class _JumpingSelector(selectors.DefaultSelector):
    loop: "VirtualTimeLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        ready: list[Any] = super().select(0)
        if not ready:
            if timeout is None:
                raise NothingToWaitForError
            self.loop.now += max(timeout, 0)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`now` is in seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now
