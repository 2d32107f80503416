"""Writes that the state does not take at once are tried again, until it does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from domain.model.failures import FailureError

# So often, after so many seconds each: that is ten minutes.
TRIES = 200
TRY_EVERY = 3.0

logger = logging.getLogger(__name__)


async def write_eventually(write: Callable[[], Awaitable[object]]) -> None:
    """Does not raise `FailureError`; what the state never takes is given up."""
    for tried in range(TRIES):
        try:
            await write()
        except FailureError as error:
            level = logging.DEBUG if tried else logging.WARNING
            logger.log(level, "What became of a turn could not be written down yet: %s", error)
            await asyncio.sleep(TRY_EVERY)
        else:
            return
