"""Tells whoever watches what changes in turns. One look serves all of them, a few times a second."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from domain.model.failures import FailureError
from domain.model.turn_report import TurnReport

# Seconds between two looks.
LOOK_EVERY = 0.25

logger = logging.getLogger(__name__)


class TurnView:
    """One who watches. Of a turn that has changed several times since the last look, the last report is enough."""

    def __init__(self, leave: "Callable[[TurnView], None]") -> None:
        self._leave = leave
        self._changed: dict[str, TurnReport] = {}
        self._news = asyncio.Event()
        self.is_closed = False

    async def take(self, timeout: float) -> Sequence[TurnReport]:
        """What has changed since the last call, waiting for it; nothing after so many seconds, or if it is closed."""
        try:
            async with asyncio.timeout(timeout):
                await self._news.wait()
        except TimeoutError:
            return ()
        self._news.clear()
        changed, self._changed = self._changed, {}
        return list(changed.values())

    def add(self, changed: Mapping[str, TurnReport]) -> None:
        self._changed |= changed
        self._news.set()

    def close(self) -> None:
        """Whoever waits in it is woken."""
        self.is_closed = True
        self._news.set()
        self._leave(self)


class TurnFeed:
    """`known` tells all turns by id, as they are now."""

    def __init__(self, known: Callable[[], Awaitable[Mapping[str, TurnReport]]]) -> None:
        self._known = known
        self._views: set[TurnView] = set()
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False

    def view(self) -> TurnView:
        """For one more who watches."""
        view = TurnView(self._views.discard)
        if self._is_closed:
            view.close()
            return view
        self._views.add(view)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return view

    def close(self) -> None:
        """Nobody watches any more."""
        self._is_closed = True
        for view in list(self._views):
            view.close()

    async def _look(self) -> None:
        before: Mapping[str, TurnReport] | None = None
        while self._views:
            try:
                now = await self._known()
                # Most are of turns that have ended, and the same objects as before.
                changed = (
                    {}
                    if before is None
                    else {
                        id_: each
                        for id_, each in now.items()
                        if before.get(id_) is not each and before.get(id_) != each
                    }
                )
                before = now
                if changed:
                    for view in list(self._views):
                        view.add(changed)
            except FailureError as error:
                logger.debug("The turns of other processes cannot be seen: %s", error)
            await asyncio.sleep(LOOK_EVERY)
        self._looking = None
